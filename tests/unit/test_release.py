"""Space on site is freed only where two centres were read back; everything else is refused, with the reason."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import http.server
import io
import re
import shutil
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.cli.common import Archive as CommandArchive
from ctao_bdms.cli.release import release as release_command
from ctao_bdms.errors import (
    BdmsError,
    ForbiddenError,
    InvalidNameError,
    ManifestError,
    NotFoundError,
    UnreachableError,
)
from ctao_bdms.model import ArchivedFile, Did, Night, ReplicaState, RetentionClass, Rse, Rule, RuleState
from ctao_bdms.naming import is_block, is_manifest, path_of_lfn
from ctao_bdms.preservation import Decision, SpacePolicy, SpaceReleases, read_back, read_manifest
from ctao_bdms.preservation.manifests import check_manifest
from ctao_bdms.preservation.proofs import prove, record_proof
from ctao_bdms.preservation.space import end_onsite_rules, plan_space_release
from ctao_bdms.preservation.verifiers import VERIFIERS, FileVerifier, ReadDigests, SourceVerifier, verifier_for
from ctao_bdms.replication import Policy, Replication
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ctao_bdms.model import Lfn
    from ctao_bdms.preservation.verifiers import Verifier

ONSITE, PIC, CSCS = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"
START = dt.datetime(2026, 11, 22, 7, tzinfo=dt.UTC)
_DAYS = SpacePolicy(older_than=dt.timedelta(days=60))


class Archive(InMemoryCatalogue):
    """An archive as the ingest service sees it, which may not declare copies bad off site; it fails as it is told."""

    #: Whether it is seen by an account that may.
    may_declare_bad = False
    #: What is raised, by what is asked and the block that it is about.
    fails: dict[tuple[str, Did], BdmsError]

    def end_rule(self, rule_id: str) -> None:
        self._fail("end_rule", self.rule(rule_id).did)
        super().end_rule(rule_id)

    def annotate(self, did: Did, notes: Mapping[str, object]) -> None:
        self._fail("annotate", did)
        super().annotate(did, notes)

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        if not self.may_declare_bad:
            raise ForbiddenError("tell the operators of the centre")
        super().declare_bad(lfn, rse, reason)

    def _fail(self, asked: str, did: Did) -> None:
        if (asked, did) in self.fails:
            raise self.fails[asked, did]


@attrs.define
class Kept:
    """Blocks at the site and at both centres, two months later."""

    archive: Archive
    bdms: Bdms
    written: list[WrittenFile]
    storages: dict[str, Path]
    clock: list[dt.datetime]

    @property
    def block(self) -> Did:
        return self.block_of(0)

    def block_of(self, number: int) -> Did:
        file = self.archive.files([self.written[number].lfn])[self.written[number].lfn]
        return next(did for did in file.datasets if is_block(did.name))

    @property
    def file(self) -> ArchivedFile:
        """What the archive says of the first file."""
        return self.archive.files([self.written[0].lfn])[self.written[0].lfn]

    def rules_of(self, block: Did) -> Sequence[Rule]:
        return self.archive.rules(block.scope, [block.name])[block.name]

    def path(self, rse: str, number: int = 0) -> Path:
        return Path(path_of_lfn(self.written[number].lfn, self.storages[rse]))

    def planned(self) -> tuple[Decision, str]:
        (row,) = self.bdms.nights.release("acada", policy=_DAYS)
        return row.verdict, row.why

    def release(self) -> tuple[Decision, str]:
        (row,) = self.bdms.nights.release("acada", policy=_DAYS, apply=True)
        return row.verdict, row.why

    @property
    def is_held_on_site(self) -> bool:
        return self.holds_on_site(self.block)

    def holds_on_site(self, block: Did) -> bool:
        return any(rule.rse_expression == ONSITE and rule.expires is None for rule in self.rules_of(block))

    def run(self, *, size_bytes: float = float("inf"), verifiers: Mapping[str, Verifier] = VERIFIERS) -> SpaceReleases:
        """Release all that can be, or so many bytes."""
        asked = (self.archive, self.archive.rses()[ONSITE])
        rows = plan_space_release(*asked, "acada", "*", _DAYS, self.clock[0])
        return end_onsite_rules(
            *asked, rows, _DAYS, now=lambda: self.clock[0], to_free_bytes=size_bytes, verifiers=verifiers
        )

    def plan(self, size_bytes: float) -> list[Decision]:
        """Say what would become of all blocks."""
        asked = (self.archive, self.archive.rses()[ONSITE], "acada", "*", _DAYS, self.clock[0])
        return [row.verdict for row in plan_space_release(*asked, to_free_bytes=size_bytes)]

    @property
    def bad(self) -> set[str]:
        """Where the copy of the first file is declared bad."""
        return {replica.rse for replica in self.file.replicas if replica.state is ReplicaState.BAD}

    def rot(self, number: int = 0, rse: str = PIC) -> None:
        """Change a bit of a copy."""
        content = bytearray(self.path(rse, number).read_bytes())
        content[100] ^= 1
        self.path(rse, number).write_bytes(bytes(content))


def _kept(tmp_path: Path, nights: int, files: int = 3) -> Kept:
    """Return an archive with a block a night."""
    clock = [START]
    storages = {name: tmp_path / name for name in (ONSITE, PIC, CSCS)}
    archive = Archive(
        [
            Rse(name=ONSITE, prefix=str(storages[ONSITE]), site="CTAO-North"),
            Rse(name=PIC, prefix=str(storages[PIC]), centre="PIC"),
            Rse(name=CSCS, prefix=str(storages[CSCS]), centre="CSCS"),
        ],
        now=lambda: clock[0],
    )
    archive.fails = {}
    bdms = Bdms(archive, policy=Policy.load(), now=lambda: clock[0])
    written: list[WrittenFile] = []
    for day in range(nights):
        clock[0] = START + dt.timedelta(days=day)
        night = Night.parse(f"2026-11-{21 + day}")
        written += write_night(storages[ONSITE], night_specs(files, telescopes=1, megabytes=0.001, night=night))
        bdms.ingest(storages[ONSITE])
    for _ in range(2):
        archive.transfer()
        Replication(archive, Policy.load(), lambda: clock[0]).reconcile("acada", "*")
    archive.transfer()
    for centre in (PIC, CSCS):
        shutil.copytree(storages[ONSITE], storages[centre])
    clock[0] += dt.timedelta(days=61)
    return Kept(archive, bdms, written, storages, clock)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return _kept(tmp_path, 1)


@pytest.fixture
def three(tmp_path: Path) -> Kept:
    """Three blocks, one of each night: the files 0, 3, and 6 are the first of each."""
    return _kept(tmp_path, 3)


def test_a_block_that_two_centres_hold_is_released(kept: Kept) -> None:
    decision, why = kept.planned()
    assert (decision, why) == (Decision.VERIFY, "CSCS: its copy was never read back; PIC: its copy was never read back")
    assert kept.is_held_on_site
    assert not kept.bdms.blocks.evidence(kept.block)

    decision, why = kept.release()
    assert (decision, why) == (Decision.ENDED, "verified at CSCS, PIC; the reaper deletes its copy on site")
    assert not kept.is_held_on_site
    evidence = kept.bdms.blocks.evidence(kept.block)
    assert sorted((proof.what, proof.rse, proof.how.split()[0], proof.n_files) for proof in evidence) == [
        ("released", ONSITE, "rule", 4),
        ("releasing", ONSITE, "rule", 4),
        ("verified", CSCS, "file", 4),
        ("verified", PIC, "file", 4),
    ]
    assert all("@" in proof.who and proof.when == kept.clock[0] for proof in evidence)
    with tarfile.open(fileobj=io.BytesIO(kept.bdms.blocks.manifest(kept.block, rse=PIC).to_bytes())) as bag:
        lines = bag.extractfile(f"{bag.getnames()[0]}/manifest-sha256.txt")
        assert lines is not None
        assert {proof.digest for proof in evidence} == {hashlib.sha256(lines.read()).hexdigest()}

    rows = kept.bdms.nights.release("acada", policy=_DAYS)
    assert rows[0].why.endswith("4 files are still on site: Rucio's judge-cleaner has not removed the rule")
    (left,) = kept.bdms.nights.left_on_site(rows)
    assert left.why.startswith("4 files are on site by the catalogue, 4 on disk")
    assert kept.archive.reap() == 4
    (left,) = kept.bdms.nights.left_on_site(rows)
    assert left.why.startswith("0 files are on site by the catalogue, 4 on disk")
    shutil.rmtree(kept.storages[ONSITE] / "ctao")
    assert kept.bdms.nights.left_on_site(rows)[0].verdict is Decision.RELEASED
    assert not kept.bdms.nights.release("acada", policy=_DAYS)
    Replication(kept.archive, Policy.load(), lambda: kept.clock[0]).reconcile("acada", "*")
    assert not kept.is_held_on_site, "what was released is not brought back"


def test_the_reaper_that_does_not_work_is_told(kept: Kept) -> None:
    kept.release()
    for rule in kept.rules_of(kept.block):
        if rule.expires is not None:
            kept.archive.remove_rule(rule.id)  # the cleaner has removed the rule
    assert kept.planned() == (
        Decision.ENDED,
        "no rule holds it, and 4 files are still on site: Rucio's reaper has not deleted them",
    )


def _corrupt(kept: Kept) -> None:
    kept.rot()


def _replica(kept: Kept, rse: str, state: ReplicaState | None) -> None:
    lfn = kept.written[0].lfn
    file = kept.archive.files([lfn])[lfn]
    rest = tuple(replica for replica in file.replicas if replica.rse != rse)
    changed = tuple(attrs.evolve(r, state=state) for r in file.replicas if r.rse == rse and state is not None)
    kept.archive.set_file(attrs.evolve(file, replicas=(*rest, *changed)))


def _rule(kept: Kept, **changes: object) -> None:
    (rule,) = (rule for rule in kept.rules_of(kept.block) if rule.rse_expression == "centre=PIC")
    kept.archive.set_rule(attrs.evolve(rule, **changes))  # type: ignore[arg-type]


def _shut(kept: Kept) -> None:
    kept.archive.set_rse(attrs.evolve(kept.archive.rses()[PIC], is_readable=False))


def _open(kept: Kept) -> None:
    (block,) = kept.archive.blocks(kept.block.scope, kept.block.name)
    kept.archive.set_block(attrs.evolve(block, is_open=True))


def _without_digest(kept: Kept) -> None:
    (manifest,) = (kept.storages[CSCS] / "ctao/acada/blocks").rglob("*.tar")
    manifest.write_bytes(b"other")


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (_corrupt, "PIC: /ctao/acada/DL0"),
        (lambda kept: kept.path(CSCS).unlink(), "CSCS: /ctao/acada/DL0.*No such file"),
        (_without_digest, "CSCS: .*bagit.tar: 5 bytes, adler32 .*; expected"),
        (lambda kept: _replica(kept, PIC, None), "CSCS of 2 centres holds all of it: by the catalogue not every file"),
        (lambda kept: _replica(kept, PIC, ReplicaState.BAD), "CSCS of 2 centres holds all of it"),
        (
            lambda kept: kept.archive.mark_lost(f"{PIC}", "fire"),
            "CSCS of 2 .* all of it: PIC-DISK is marked as lost: fire",
        ),
        (_shut, "CSCS of 2 centres holds all of it: PIC-DISK cannot be read"),
        (lambda kept: _rule(kept, state=RuleState.STUCK), "the rule for centre=PIC is stuck"),
        (lambda kept: _rule(kept, expires=START + dt.timedelta(days=900)), "the rule for centre=PIC ends"),
        (_open, "the block is open"),
        (lambda kept: kept.clock.__setitem__(0, START + dt.timedelta(days=30)), "is 30 days old, and stays for 60"),
    ],
)
def test_what_is_not_safe_stays(kept: Kept, breaks: Callable[[Kept], object], said: str) -> None:
    breaks(kept)
    was_to_go = kept.planned()[0] is Decision.VERIFY
    decision, why = kept.release()
    assert decision is (Decision.FAILED if was_to_go else Decision.KEEP)
    assert re.search(said, why), why
    assert kept.is_held_on_site
    assert {proof.what for proof in kept.bdms.blocks.evidence(kept.block)} <= {"verified"}


def test_a_copy_that_goes_after_it_was_verified_is_noticed(kept: Kept) -> None:
    for rse, centre in ((PIC, "PIC"), (CSCS, "CSCS")):
        record_proof(kept.archive, prove(kept.archive, kept.block, rse, centre, now=lambda: kept.clock[0]))
    assert kept.planned() == (Decision.RELEASE, "verified at CSCS, PIC")
    kept.path(PIC).unlink()
    decision, why = kept.release()
    assert decision is Decision.FAILED
    assert why.startswith("PIC: 1 files are not as they were read back")
    assert kept.is_held_on_site
    kept.clock[0] += dt.timedelta(days=2)
    assert kept.planned()[1].startswith("CSCS: its copy was read back last on 2027-01-22; PIC")


def test_a_copy_that_was_repaired_is_read_back_again(kept: Kept) -> None:
    _corrupt(kept)
    assert kept.release()[0] is Decision.FAILED
    shutil.copy(kept.path(ONSITE), kept.path(PIC))
    kept.clock[0] += dt.timedelta(minutes=1)
    assert kept.release()[0] is Decision.ENDED
    decisions = [
        (proof.rse, proof.is_sound) for proof in kept.bdms.blocks.evidence(kept.block) if proof.what == "verified"
    ]
    assert sorted(decisions) == [(CSCS, True), (PIC, False), (PIC, True)]


def test_a_rotten_copy_is_declared_bad_where_another_one_is_sound(kept: Kept) -> None:
    kept.archive.may_declare_bad = True
    kept.rot(rse=PIC)
    kept.rot(rse=CSCS)
    decision, why = kept.release()
    assert decision is Decision.FAILED
    assert why.count("it was declared bad") == 2
    assert kept.bad == {PIC, CSCS}, "the one on site is sound"
    assert not kept.archive.suspicious
    assert kept.is_held_on_site
    assert kept.planned()[1].startswith("none of 2 centres hold all of it: by the catalogue not every file is at")


def test_who_may_not_declare_a_copy_bad_learns_the_command(kept: Kept) -> None:
    kept.rot()
    why = kept.release()[1]
    assert (
        "this account may not declare it bad, an archive administrator can: "
        f"rucio replica state update bad file://localhost{kept.path(PIC)} --reason 'other bytes'; "
        "it was declared suspicious"
    ) in why
    assert not kept.bad
    assert list(kept.archive.suspicious) == [(kept.written[0].lfn, PIC)]


def _rot_all(kept: Kept) -> None:
    for rse in (PIC, CSCS, ONSITE):
        kept.rot(rse=rse)


def _rot_and_lose(kept: Kept) -> None:
    kept.rot()
    kept.path(CSCS).unlink()
    kept.path(ONSITE).unlink()


def _rot_and_shut(kept: Kept) -> None:
    kept.rot()
    _replica(kept, CSCS, ReplicaState.COPYING)
    kept.archive.set_rse(attrs.evolve(kept.archive.rses()[ONSITE], is_readable=False))


@pytest.mark.parametrize("breaks", [_rot_all, _rot_and_lose, _rot_and_shut])
def test_the_only_copy_is_never_declared_bad(kept: Kept, breaks: Callable[[Kept], None]) -> None:
    kept.archive.may_declare_bad = True
    breaks(kept)
    proof = prove(kept.archive, kept.block, PIC, "PIC", now=lambda: kept.clock[0])
    assert not proof.is_sound
    assert "no other copy is proven sound: it was declared suspicious" in proof.result
    assert not kept.bad
    assert list(kept.archive.suspicious) == [(kept.written[0].lfn, PIC)]


def test_only_what_is_there_and_wrong_twice_is_told(kept: Kept) -> None:
    kept.archive.may_declare_bad = True
    seen: list[str] = []

    class Flipping(FileVerifier):
        """Reads each copy wrongly the first time."""

        def read(self, pfn: str, on_bytes: Callable[[int], None]) -> ReadDigests:
            seen.append(pfn)
            found = super().read(pfn, on_bytes)
            return found if pfn in seen[:-1] else attrs.evolve(found, adler32="00000000")

    where = (kept.archive, kept.block, PIC, "PIC")
    assert prove(*where, now=lambda: START, verifiers={"file": Flipping()}).is_sound
    kept.path(PIC).unlink()
    assert not prove(*where, now=lambda: START).is_sound
    kept.path(PIC).write_bytes(b"half")
    _replica(kept, PIC, ReplicaState.COPYING)
    assert not prove(*where, now=lambda: START).is_sound
    assert not kept.bad
    assert not kept.archive.suspicious


def test_of_many_rotten_files_the_first_are_told(tmp_path: Path) -> None:
    kept = _kept(tmp_path, 1, files=14)
    kept.archive.may_declare_bad = True
    for number in range(14):
        kept.rot(number)
    proof = prove(kept.archive, kept.block, PIC, "PIC", now=lambda: START)
    assert proof.result.count("it was declared bad") == 10
    assert proof.result.endswith("and 4 files more")


def test_a_copy_is_read_through_the_door_that_works_here(kept: Kept) -> None:
    lfns = [product.lfn for product in kept.archive.products_in(kept.block)]
    for lfn, file in kept.archive.files(lfns).items():
        doors = tuple(
            attrs.evolve(each, pfn=f"root://{each.rse}//{lfn}", others=("tape://x/y", each.pfn))
            for each in file.replicas
        )
        kept.archive.set_file(attrs.evolve(file, replicas=doors))
    without_bindings = {"file": FileVerifier()}
    manifest = read_manifest(kept.archive, kept.block, PIC, without_bindings)
    assert {file.lfn for file in manifest.files} == {written.lfn for written in kept.written}
    checked = check_manifest(kept.archive, kept.block, PIC, now=lambda: START, deep=True, verifiers=without_bindings)
    assert (checked.verdict, checked.n_read) == ("agrees", 3)
    (row,) = kept.run(verifiers=without_bindings)
    assert row.verdict is Decision.ENDED
    assert {proof.how for proof in kept.bdms.blocks.evidence(kept.block) if proof.what == "verified"} == {"file"}


def test_what_no_door_gives_is_said(kept: Kept) -> None:
    file = kept.file
    shut = attrs.evolve(file.replicas[0], others=("tape://x/y",))
    kept.path(shut.rse).unlink()
    (found,) = read_back([attrs.evolve(file, replicas=(shut,))], now=lambda: START)
    assert "No such file" in found.problem
    assert "copies are read back by" in found.problem
    assert not found.is_rotten
    (found,) = read_back([attrs.evolve(file, replicas=(attrs.evolve(shut, pfn="", others=()),))], now=lambda: START)
    assert found.problem == f"the copy at {shut.rse} has no URL that can be opened here"


def test_a_retention_class_may_have_a_time_of_its_own(kept: Kept) -> None:
    for stays, decision in (
        (dt.timedelta(days=70), Decision.KEEP),
        (dt.timedelta(), Decision.VERIFY),
        (None, Decision.KEEP),
    ):
        policy = SpacePolicy(by_class={RetentionClass.PERMANENT: stays})
        (row,) = kept.bdms.nights.release("acada", policy=policy)
        assert row.verdict is decision
    assert row.why == "what is permanent stays on site"


def test_no_more_goes_than_the_low_water_mark_takes(kept: Kept, tmp_path: Path) -> None:
    (row,) = kept.bdms.nights.release("acada", policy=_DAYS, low_water=1.0)
    assert (row.verdict, row.why) == (Decision.KEEP, "the low-water mark is reached without it")
    (row,) = kept.bdms.nights.release("acada", policy=_DAYS, low_water=0.0)
    assert row.verdict is Decision.VERIFY


def test_a_bad_block_does_not_keep_the_others_on_site(three: Kept) -> None:
    first, second, third = (three.block_of(number) for number in (0, 3, 6))
    three.rot()
    assert three.plan(1) == [Decision.VERIFY, Decision.KEEP, Decision.KEEP]
    rows = three.run(size_bytes=1)
    assert [row.verdict for row in rows] == [Decision.FAILED, Decision.ENDED, Decision.KEEP]
    assert rows[2].why == "the low-water mark is reached without it"
    assert [three.holds_on_site(block) for block in (first, second, third)] == [True, False, True]
    assert not three.bdms.blocks.evidence(third), "what need not go is not read back"

    rows = three.run(size_bytes=1)
    assert [row.verdict for row in rows] == [Decision.KEEP, Decision.ENDED, Decision.KEEP], (
        "what is on its way out counts"
    )
    assert three.plan(1) == [row.verdict for row in rows]
    assert three.plan(rows[1].size_bytes + 1) == [Decision.VERIFY, Decision.ENDED, Decision.KEEP]


def test_as_many_blocks_go_as_the_low_water_mark_takes(three: Kept) -> None:
    size_bytes = three.bdms.nights.release("acada", policy=_DAYS)[0].size_bytes
    assert three.plan(size_bytes) == [Decision.VERIFY, Decision.KEEP, Decision.KEEP]
    assert three.plan(size_bytes + 1) == [Decision.VERIFY, Decision.VERIFY, Decision.KEEP]
    rows = three.run(size_bytes=size_bytes + 1)
    assert [row.verdict for row in rows] == [Decision.ENDED, Decision.ENDED, Decision.KEEP]
    rows = three.bdms.nights.release("acada", policy=_DAYS, low_water=1.0, apply=True)
    assert [row.verdict for row in rows] == [Decision.ENDED, Decision.ENDED, Decision.KEEP]
    rows = three.bdms.nights.release("acada", policy=_DAYS, low_water=0.0, apply=True)
    assert [row.verdict for row in rows] == [Decision.ENDED] * 3


@pytest.mark.parametrize("place", [ONSITE, "site=CTAO-North"])
def test_a_rule_of_another_account_is_left_alone(three: Kept, place: str) -> None:
    first, second = three.block_of(0), three.block_of(3)
    three.archive.add_rule(first, rse_expression=place, account="root")
    three.archive.add_rule(second, rse_expression=place, account="root", lifetime_s=60)
    rows = three.run()
    assert [row.verdict for row in rows] == [Decision.KEEP, Decision.KEEP, Decision.ENDED]
    assert rows[0].why == "a rule of root holds it on site"
    assert three.holds_on_site(first)
    assert all(rule.expires is None for rule in three.archive.rules("acada", [first.name])[first.name])
    three.clock[0] += dt.timedelta(minutes=2)
    three.archive.reap()
    assert [row.verdict for row in three.run()] == [Decision.KEEP, Decision.ENDED, Decision.RELEASED]


def test_a_rule_of_another_account_at_a_centre_does_not_count(kept: Kept) -> None:
    _rule(kept, account="jane")
    decision, why = kept.release()
    assert (decision, why) == (
        Decision.KEEP,
        "CSCS of 2 centres holds all of it: there is no rule for another one",
    )


def test_what_has_a_lifetime_goes_by_itself(three: Kept) -> None:
    for block, ends in ((three.block_of(0), dt.timedelta(days=120)), (three.block_of(3), dt.timedelta(minutes=30))):
        (rule,) = (rule for rule in three.rules_of(block) if rule.rse_expression == ONSITE)
        three.archive.set_rule(attrs.evolve(rule, expires=three.clock[0] + ends))
    rows = three.run(size_bytes=1)
    assert [row.verdict for row in rows] == [Decision.KEEP, Decision.ENDED, Decision.KEEP]
    assert rows[0].why == "it goes by itself on 2027-05-24, when its rule ends"
    rows = three.run(size_bytes=rows[1].size_bytes + 1)
    assert [row.verdict for row in rows] == [Decision.KEEP, Decision.ENDED, Decision.ENDED], "it has freed nothing yet"


@pytest.mark.parametrize("error", [ForbiddenError("no"), UnreachableError("busy"), NotFoundError("what?")])
@pytest.mark.parametrize("asked", ["end_rule", "annotate"])
def test_what_goes_wrong_with_one_block_does_not_stop_the_run(three: Kept, error: BdmsError, asked: str) -> None:
    second = three.block_of(3)
    three.archive.fails[asked, second] = error
    rows = three.run()
    assert [row.verdict for row in rows] == [Decision.ENDED, Decision.FAILED, Decision.ENDED]
    assert (rows[1].why, rows.stopped) == (str(error), None)
    assert three.holds_on_site(second)
    evidence = [proof.what for proof in three.bdms.blocks.evidence(second)]
    assert "released" not in evidence
    assert ("releasing" in evidence) == (asked == "end_rule"), "the decision is kept before it is carried out"


def test_a_catalogue_out_of_reach_ends_the_run_with_what_was_done(three: Kept) -> None:
    for number in (0, 3):
        three.archive.fails["end_rule", three.block_of(number)] = UnreachableError(f"it is gone {number}")
    rows = three.bdms.nights.release("acada", policy=_DAYS, apply=True)
    assert [row.verdict for row in rows] == [Decision.FAILED, Decision.FAILED, Decision.VERIFY]
    assert [row.why for row in rows] == ["it is gone 0", "it is gone 3", "it was not reached"]
    assert str(rows.stopped) == "it is gone 3"
    assert three.holds_on_site(three.block_of(6))


@attrs.frozen
class _Command(CommandArchive):
    """The archive of a command: the one of the test."""

    bdms: Bdms = attrs.field(kw_only=True)

    def connect(self, quarantine: Path | None = None) -> Bdms:
        return self.bdms


def test_the_command_says_what_was_done(three: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    command = functools.partial(release_command, older_than=60.0, archive=_Command(bdms=three.bdms))
    three.rot()
    assert command() == 0
    assert "3 blocks could be released; --apply does it" in capsys.readouterr().out
    three.archive.fails["end_rule", three.block_of(3)] = ForbiddenError("you may not")
    assert command(apply=True, to_low_water="0%") == 1
    said = capsys.readouterr().out
    assert re.search(r"not released +.*PIC: /ctao/acada/DL0", said)
    assert re.search(r"not released .*you may not", said)
    assert "1 of 3 blocks released" in said
    assert command(apply=True) == 1
    assert "0 of 2 blocks released" in capsys.readouterr().out, "what had been released before is not counted again"


def test_the_command_shows_its_table_though_the_archive_went_out_of_reach(
    three: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (3, 6):
        three.archive.fails["annotate", three.block_of(number)] = UnreachableError("it has gone")
    with pytest.raises(UnreachableError, match="it has gone"):
        release_command(older_than=60.0, apply=True, wait=True, archive=_Command(bdms=three.bdms))
    said = capsys.readouterr().out
    assert "1 of 3 blocks released" in said
    assert [said.count(str(decision)) for decision in (Decision.ENDED, Decision.FAILED)] == [1, 2]


def test_the_command_does_not_wait_for_what_goes_by_itself(three: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    ends = three.clock[0] + dt.timedelta(days=120)
    for rule in (rule for number in (0, 3, 6) for rule in three.rules_of(three.block_of(number))):
        if rule.rse_expression == ONSITE:
            three.archive.set_rule(attrs.evolve(rule, expires=ends))
    assert release_command(older_than=60.0, apply=True, wait=True, archive=_Command(bdms=three.bdms)) == 0
    assert capsys.readouterr().out.count("it goes by itself on 2027-05-24") == 3


def test_the_manifest_is_shown_and_verified_from_each_copy(kept: Kept) -> None:
    assert {file.lfn for file in kept.bdms.blocks.manifest(kept.block.name).files} == {w.lfn for w in kept.written}
    checks = kept.bdms.blocks.check_manifests(kept.block, deep=True)
    assert checks.ok
    assert [(check.rse, check.n_files, check.n_read) for check in checks] == [(CSCS, 3, 3), (ONSITE, 3, 3), (PIC, 3, 3)]
    _corrupt(kept)
    _without_digest(kept)
    assert [check.rse for check in kept.bdms.blocks.check_manifests(kept.block) if not check.problems] == [ONSITE, PIC]
    wrong = {
        check.rse: check.verdict for check in kept.bdms.blocks.check_manifests(kept.block, deep=True) if check.problems
    }
    assert set(wrong) == {PIC, CSCS}
    assert str(kept.written[0].lfn) in wrong[PIC]
    with pytest.raises(ManifestError):
        kept.bdms.blocks.manifest(kept.block, rse=CSCS)
    with pytest.raises(NotFoundError, match="there is none at NOWHERE"):
        kept.bdms.blocks.manifest(kept.block, rse="NOWHERE")
    with pytest.raises(InvalidNameError, match="a block is called"):
        kept.bdms.blocks.manifest("/ctao/acada/DL0")


def test_a_block_without_a_manifest_is_told(kept: Kept) -> None:
    (manifest,) = (each.lfn for each in kept.archive.products_in(kept.block) if is_manifest(each.lfn.text))
    kept.archive.remove_file(manifest)
    with pytest.raises(NotFoundError, match="has no manifest"):
        kept.bdms.blocks.manifest(kept.block)
    assert kept.bdms.blocks.check_manifests(kept.block, rse=ONSITE)[0].verdict == "the block has no manifest"
    other = kept.block.name[:-8] + "ffffffff"
    assert kept.bdms.blocks.check_manifests(other)[0].verdict == "the block is empty or does not exist"


class _Storage(http.server.SimpleHTTPRequestHandler):
    """A storage that is asked by HTTP."""

    root: ClassVar[str] = ""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, directory=self.root, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if not self.path.endswith("/short"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"abc")

    def do_HEAD(self) -> None:
        if not self.path.endswith("/short"):
            super().do_HEAD()
            return
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url(kept: Kept) -> Iterator[str]:
    _Storage.root = str(kept.storages[PIC])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Storage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_copies_are_read_by_http(kept: Kept, url: str) -> None:
    lfn, file = kept.written[0].lfn, kept.file
    place = next(number for number, replica in enumerate(file.replicas) if replica.rse == PIC)
    replicas = list(file.replicas)
    replicas[place] = attrs.evolve(replicas[place], pfn=f"{url}{lfn}")
    counted: list[int] = []
    (found,) = read_back(
        [attrs.evolve(file, replicas=tuple(replicas))], now=lambda: START, at={PIC}, on_bytes=counted.append
    )
    assert (found.problem, found.how, found.sha256) == ("", "http", kept.written[0].sha256)
    assert sum(counted) == file.size_bytes
    verifier = verifier_for(url)
    assert isinstance(verifier, SourceVerifier)
    assert verifier.size_bytes(f"dav{url.removeprefix('http')}{lfn}") == file.size_bytes
    assert verifier.content(f"{url}{lfn}") == kept.path(PIC).read_bytes()
    kept.path(PIC).unlink()
    replicas = [attrs.evolve(replicas[place], pfn=f"{url}{lfn}")]
    (found,) = read_back([attrs.evolve(file, replicas=tuple(replicas))], now=lambda: START)
    assert "404" in found.problem


def test_a_transfer_that_breaks_off_is_no_evidence(url: str) -> None:
    verifier = verifier_for(url)
    with pytest.raises(UnreachableError, match="ends at byte 3 of 10"):
        verifier.read(f"{url}/short", lambda _: None)
    with pytest.raises(UnreachableError, match="ends at byte 3 of 10"):
        verifier.content(f"{url}/short")


def test_a_storage_that_nothing_reads_is_told(kept: Kept) -> None:
    file = kept.file
    replica = attrs.evolve(file.replicas[0], pfn="tape://x/y")
    (found,) = read_back([attrs.evolve(file, replicas=(replica,))], now=lambda: START)
    assert "copies are read back by dav, davs, file, http, https" in found.problem


def test_a_known_sha256_is_compared(kept: Kept) -> None:
    file = kept.file
    (found,) = read_back([file], now=lambda: START, at={PIC}, sha256={file.lfn: "0" * 64})
    assert found.problem == f"sha256 {kept.written[0].sha256}; expected {'0' * 64}"
