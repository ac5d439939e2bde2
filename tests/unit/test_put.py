"""Products of jobs and users on their way into the archive."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import InvalidMetadataError, QuotaError, UploadError, UsageError
from ctao_bdms.ingest import Status
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import DefectKind, Lfn, NewProduct, RetentionClass, Rse, Verdict
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication import Policy, Replication
from ctao_bdms.storage import FileSink
from ctao_bdms.storage.sinks import temporary_prefix
from ctao_bdms.testing.products import write_dl1, write_dl2
from ctao_bdms.upload import Put
from ctao_bdms.upload.deliver import deliver
from ctao_bdms.upload.put import read_products

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = dt.datetime(2026, 11, 22, 9, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(minutes=3)
NAME = "dl1_evt_tel_AirShower_ob2000000001_tel001_chunk000.h5"
FOLDER = "/ctao/dpps/DataPipe/Observation/DR1/CTAO-North/DL1/Event/2026/11/21/ob2000000001"
_FOR_EVER = RetentionClass.PERMANENT
SAID = NewProduct.of(release="DataPipe/Observation/DR1", night="2026-11-21")


class Archive:
    """An archive with a site and three centres, whose storage is on this disk."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = NOW
        rses = [Rse(name="ONSITE", prefix=str(home / "ONSITE"), site="CTAO-North")]
        for centre in ("PIC", "CSCS", "DESY"):
            prefix = str(home / centre)
            rses.append(Rse(name=f"{centre}-DISK", prefix=prefix, centre=centre, write_url=f"file://localhost{prefix}"))
        self.catalogue = InMemoryCatalogue(rses, scopes=("dpps", "acada", "user.ada"), now=lambda: self.now)
        self.bdms = Bdms(self.catalogue, policy=Policy.load(), now=lambda: self.now)

    def blocks_of(self, lfn: Lfn) -> list[BlockName]:
        datasets = self.catalogue.files([lfn])[lfn].datasets
        return [BlockName.parse(did.name) for did in sorted(datasets) if is_block(did.name)]

    def files_on_storage(self) -> list[str]:
        """Return the files, temporary ones too, but for the manifests of blocks."""
        paths = [path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file()]
        return sorted(str(path) for path in paths if not path.name.endswith(".bagit.tar"))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "storage")


@pytest.fixture
def dl1(tmp_path: Path) -> Path:
    return write_dl1(tmp_path / NAME, telescopes=(1,), attributes={"OBS_ID": 2000000001})


def test_a_product_is_named_uploaded_registered_and_gets_its_rule(archive: Archive, dl1: Path) -> None:
    (outcome,) = archive.bdms.put(dl1, product=SAID)
    lfn = Lfn(f"{FOLDER}/{NAME}")
    assert (outcome.status, outcome.lfn, outcome.defects) == (Status.REGISTERED, lfn, ())
    (block,) = archive.blocks_of(lfn)
    assert block.retention is RetentionClass.SHORT_TERM
    (replica,) = archive.catalogue.files([lfn])[lfn].replicas
    assert replica.rse == f"{block.origin}-DISK"
    stored = archive.home / block.origin / FOLDER[1:] / NAME
    assert stored.read_bytes() == dl1.read_bytes()
    assert [name for name in archive.files_on_storage() if ".bdms-" in name] == []
    (rule,) = archive.catalogue.rules("dpps", [str(block)])[str(block)]
    assert rule.rse_expression == f"centre={block.origin}"
    assert rule.expires is not None
    (product,) = archive.bdms.query(level="DL1", scope="dpps")
    assert product.metadata["curation__release"] == "DataPipe/Observation/DR1"
    assert product.metadata["instance__site_id"] == "CTAO-North"
    assert product.metadata["integrity__sha256"] == digest_file(dl1, ("sha256",)).digests["sha256"]


def test_to_put_again_changes_nothing(archive: Archive, dl1: Path) -> None:
    archive.bdms.put(dl1, product=SAID)
    before = archive.files_on_storage()
    uploaded: list[int] = []
    (outcome,) = archive.bdms.put(dl1, product=SAID, near="DESY", on_uploaded=uploaded.append)
    assert outcome.status is Status.KNOWN
    assert (archive.files_on_storage(), uploaded) == (before, [])
    assert len(archive.catalogue.blocks("dpps", "*")) == 1


def test_other_content_under_the_name_is_a_conflict(archive: Archive, dl1: Path) -> None:
    archive.bdms.put(dl1, product=SAID)
    before = digest_file(next(archive.home.rglob(NAME)))
    write_dl1(dl1, telescopes=(1,), seed=1, attributes={"OBS_ID": 2000000001})
    (outcome,) = archive.bdms.put(dl1, product=SAID)
    assert outcome.status is Status.REFUSED
    assert [defect.kind for defect in outcome.defects] == [DefectKind.CONFLICT]
    assert "nothing was overwritten" in outcome.defects[0].message
    assert digest_file(next(archive.home.rglob(NAME))) == before


def test_other_content_under_a_name_whose_copies_are_gone_is_not_uploaded(archive: Archive, dl1: Path) -> None:
    (first,) = archive.bdms.put(dl1, product=SAID)
    assert first.lfn is not None
    known = archive.catalogue.files([first.lfn])[first.lfn]
    archive.catalogue.set_file(attrs.evolve(known, replicas=()))  # its time was over
    next(archive.home.rglob(NAME)).unlink()
    right = dl1.read_bytes()
    write_dl1(dl1, telescopes=(1,), seed=1, attributes={"OBS_ID": 2000000001})
    uploaded: list[int] = []
    (other,) = archive.bdms.put(dl1, product=SAID, on_uploaded=uploaded.append)
    assert [defect.kind for defect in other.defects] == [DefectKind.CONFLICT]
    assert (archive.files_on_storage(), uploaded) == ([], [])
    dl1.write_bytes(right)
    (again,) = archive.bdms.put(dl1, product=SAID)
    assert again.status is Status.REGISTERED
    assert len(archive.files_on_storage()) == 1


def test_the_archive_keeps_at_two_centres_the_first_where_it_was_uploaded(archive: Archive, dl1: Path) -> None:
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="archive", near="DESY")
    assert outcome.block is not None
    name = BlockName.parse(outcome.block.name)
    assert (name.retention, name.origin) == (RetentionClass.PERMANENT, "DESY")
    first, second = archive.catalogue.rules("dpps", [str(name)])[str(name)]
    assert (first.rse_expression, first.source, first.expires) == ("centre=DESY", "", None)
    assert (second.source, second.expires) == ("centre=DESY", None)
    archive.catalogue.transfer()
    (state,) = archive.bdms.rules.reconcile("dpps")
    assert state.is_complete
    assert state.centres[0] == "DESY"
    assert len(set(state.centres)) == 2


def test_where_it_was_uploaded_needs_no_copy_to_remain(archive: Archive, dl1: Path) -> None:
    """DESY takes uploads, and the policy has no share for it: the copies are read from there, one after the other."""
    desy = archive.catalogue.rses()["DESY-DISK"]
    archive.catalogue.set_rse(attrs.evolve(desy, share=0.0))
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="archive", near="DESY")
    assert outcome.block is not None
    name = outcome.block.name
    holds, first = archive.catalogue.rules("dpps", [name])[name]
    assert (holds.rse_expression, holds.source) == ("centre=DESY", ""), "what was uploaded is held"
    assert (first.rse_expression in {"centre=PIC", "centre=CSCS"}, first.source) == (True, "centre=DESY")
    archive.bdms.rules.reconcile("dpps")
    assert archive.catalogue.rules("dpps", [name])[name] == [holds, first], "the second waits for the first"
    archive.catalogue.transfer()
    archive.bdms.rules.reconcile("dpps")
    *_, second = archive.catalogue.rules("dpps", [name])[name]
    assert second.source == first.rse_expression
    archive.catalogue.transfer()
    (state,) = archive.bdms.rules.reconcile("dpps", prune=True)
    assert (state.is_complete, set(state.centres)) == (True, {"PIC", "CSCS"})
    ended = [rule.rse_expression for rule in archive.catalogue.rules("dpps", [name])[name] if rule.expires is not None]
    assert ended == ["centre=DESY"], "once both centres have it, nothing holds it where it was uploaded"


def test_what_was_short_term_can_be_archived(archive: Archive, dl1: Path) -> None:
    (first,) = archive.bdms.put(dl1, product=SAID, storage="short-term", near="DESY")
    (second,) = archive.bdms.put(dl1, product=SAID, storage="archive", near="PIC")
    (third,) = archive.bdms.put(dl1, product=SAID, storage="short-term")
    assert [each.status for each in (first, second, third)] == [Status.REGISTERED, Status.REGISTERED, Status.KNOWN]
    assert second.lfn is not None
    kept = {block.retention: block.origin for block in archive.blocks_of(second.lfn)}
    assert kept == {RetentionClass.SHORT_TERM: "DESY", RetentionClass.PERMANENT: "DESY"}
    assert len(archive.files_on_storage()) == 1


def test_a_short_term_block_gets_no_rules_when_its_time_is_over(archive: Archive, dl1: Path) -> None:
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="short-term")
    assert outcome.block is not None
    for rule in archive.catalogue.rules("dpps", [outcome.block.name])[outcome.block.name]:
        archive.catalogue.remove_rule(rule.id)  # Rucio's judge has ended it
    archive.now += dt.timedelta(days=400)
    archive.bdms.rules.reconcile("dpps")
    assert not archive.catalogue.rules("dpps", [outcome.block.name])[outcome.block.name]


def test_a_bad_file_is_refused_with_all_its_defects_and_not_uploaded(archive: Archive, dl1: Path) -> None:
    content = bytearray(dl1.read_bytes())
    content[len(content) // 2] ^= 1
    dl1.write_bytes(content)
    good = write_dl1(dl1.with_name(NAME.replace("chunk000", "chunk001")), telescopes=(1,), seed=3)
    report = archive.bdms.put(
        [dl1, good], product=NewProduct.of(release="DataPipe/Observation/DR1", night="2026-11-21")
    )
    assert [outcome.status for outcome in report] == [Status.REFUSED, Status.REGISTERED]
    assert report[0].facts is not None
    assert report[0].facts.verdict is Verdict.BAD
    assert len(archive.files_on_storage()) == 1


@pytest.mark.parametrize(
    ("words", "kinds", "hint"),
    [
        ({}, {DefectKind.MISSING_METADATA}, "the release (curation__release)"),
        ({"release": "DataPipe/Observation/DR1"}, {DefectKind.MISSING_METADATA}, "the observing night"),
        ({"level": "DL2"}, {DefectKind.NAME_MISMATCH, DefectKind.MISSING_METADATA}, "the name says DL1"),
        ({"telescope": "LSTN-02"}, {DefectKind.NAME_MISMATCH, DefectKind.MISSING_METADATA}, "instance__ae_id = 2"),
        (
            {"site": "CTAO-South"},
            {DefectKind.NAME_MISMATCH, DefectKind.MISSING_METADATA},
            "the content says CTAO-North",
        ),
    ],
)
def test_what_name_content_and_maker_say_must_agree_and_be_enough(
    archive: Archive, dl1: Path, words: dict[str, Any], kinds: set[DefectKind], hint: str
) -> None:
    (outcome,) = archive.bdms.put(dl1, product=NewProduct.of(**words))
    assert outcome.status is Status.REFUSED
    assert {defect.kind for defect in outcome.defects} == kinds
    assert hint in " ".join(defect.message for defect in outcome.defects)
    assert not archive.files_on_storage()


def test_content_of_another_level_is_refused(archive: Archive, tmp_path: Path) -> None:
    path = write_dl2(tmp_path / NAME, telescopes=(1,))
    (outcome,) = archive.bdms.put(path, product=SAID)
    assert any("data__level = DL1, the content says DL2" in defect.message for defect in outcome.defects)


def test_raw_data_enter_on_site_only(archive: Archive, dl1: Path) -> None:
    path = dl1.rename(dl1.with_name("x.h5"))
    said = NewProduct.of(kind="DL0/Event/Telescope/AirShower", release="X", night="2026-11-21", obs_id=2000000001)
    (outcome,) = archive.bdms.put(path, product=said)
    assert "it enters the archive on site" in " ".join(defect.message for defect in outcome.defects)


def test_a_file_of_any_name_is_named_by_what_is_said(archive: Archive, dl1: Path) -> None:
    path = dl1.rename(dl1.with_name("job_output.h5"))
    said = NewProduct.of(
        kind="DL1/Event/Telescope/AirShower", release="DataPipe/Observation/DR1", night="2026-11-21",
        obs_id=2000000001, telescope="LSTN-01", chunk=0,
    )  # fmt: skip
    (outcome,) = archive.bdms.put(path, product=said)
    assert str(outcome.lfn) == f"{FOLDER}/{NAME}"


def test_a_folder_is_put_whole_and_two_of_one_name_are_not(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    for number in range(3):
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        write_dl1(folder / f"{number % 2}" / NAME.replace("chunk000", f"chunk00{number}"), telescopes=(1,), seed=number)
    write_dl1(folder / "1" / NAME, telescopes=(1,), seed=7)
    (folder / ".hidden").write_text("x")
    report = archive.bdms.put(folder, product=SAID)
    assert [outcome.status.value for outcome in report] == ["registered", "registered", "refused", "registered"]
    assert "was given, too" in report[2].defects[0].message
    (block,) = archive.catalogue.blocks("dpps", "*")
    assert (block.n_files, block.is_open) == (4, False), "three files and their manifest"


def test_users_put_into_their_own_area_within_their_quota(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("some thoughts")
    said = NewProduct.of(user="ada", folder="irf")
    archive.catalogue.quotas = dict.fromkeys(("PIC-DISK", "CSCS-DISK", "DESY-DISK"), 12)
    with pytest.raises(QuotaError, match="13 bytes are more than the 12"):
        archive.bdms.put(path, product=said)
    assert not archive.files_on_storage()
    archive.catalogue.quotas = {}
    (outcome,) = archive.bdms.put(path, product=said)
    assert (outcome.status, str(outcome.lfn)) == (Status.REGISTERED, "/ctao/user/a/ada/irf/notes.txt")
    assert outcome.block is not None
    assert outcome.block.scope == "user.ada"
    assert BlockName.parse(outcome.block.name).retention is RetentionClass.USER
    with pytest.raises(UsageError, match="for a while only"):
        archive.bdms.put(path, product=said, storage="archive")


def test_users_put_no_more_than_the_policy_lets_an_account_keep(archive: Archive, tmp_path: Path) -> None:
    policy = archive.bdms.replication.policy
    terms = attrs.evolve(policy.retention(RetentionClass.USER), quota_bytes=30)
    policy = attrs.evolve(policy, retentions={**policy.retentions, RetentionClass.USER: terms})
    bdms = Bdms(archive.catalogue, now=lambda: archive.now, policy=policy)
    said = NewProduct.of(user="ada", folder="irf")
    paths = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for path in paths:
        path.write_text("some thoughts")
    with pytest.raises(QuotaError, match=r"39 bytes are more than the 30 .* keep 30 bytes, and 0 are kept"):
        bdms.put(paths, product=said)
    assert not archive.files_on_storage()
    bdms.put(paths[:1], product=said, near="PIC")
    archive.now += dt.timedelta(minutes=5)
    with pytest.raises(QuotaError, match=r"26 bytes are more than the 17 .* keep 30 bytes, and 13 are kept"):
        bdms.put(paths, product=said, near="DESY")
    (known, new) = bdms.put(paths[:2], product=said, near="DESY")
    assert (known.status, new.status) == (Status.KNOWN, Status.REGISTERED)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ({"nigt": "2026-11-21"}, "did you mean 'night'"),
        ({"kind": "DL1/Event/Telescope/AirShowr"}, "did you mean 'AirShower'"),
        ({"telescope": "LST1"}, "LSTN-01"),
        ({"obs_id": "many"}, "integer"),
        ({"category": "D"}, "'D'"),
    ],
)
def test_words_that_do_not_exist(words: dict[str, str], hint: str) -> None:
    with pytest.raises(InvalidMetadataError, match=hint):
        NewProduct.of(**words)


def test_places_that_take_no_uploads(archive: Archive, dl1: Path) -> None:
    with pytest.raises(UsageError, match="'ONSITE' takes no uploads; there are CSCS-DISK"):
        archive.bdms.put(dl1, product=SAID, rse="ONSITE")
    with pytest.raises(UsageError, match="no storage element at 'MOON'"):
        archive.bdms.put(dl1, product=SAID, near="MOON")
    with pytest.raises(UsageError, match="there is no file"):
        archive.bdms.put(dl1.with_name("nothing"), product=SAID)


@pytest.fixture
def belongs(dl1: Path, tmp_path: Path) -> str:
    """Say at which centre the product enters if all are open."""
    (outcome,) = Archive(tmp_path / "another").bdms.put(dl1, product=SAID)
    assert outcome.block is not None
    return BlockName.parse(outcome.block.name).origin


@pytest.mark.parametrize("why", ["lost", "shut", "unreadable for long"])
def test_a_product_enters_at_a_centre_that_is_there(archive: Archive, dl1: Path, belongs: str, why: str) -> None:
    rse = f"{belongs}-DISK"
    if why == "lost":
        archive.catalogue.mark_lost(rse, "fire")
        reason = f"{rse} is marked as lost: fire"
    elif why == "shut":
        archive.catalogue.set_rse(attrs.evolve(archive.catalogue.rses()[rse], is_writable=False))
        reason = f"{rse} is shut: nothing can be written there"
    else:
        since = NOW - dt.timedelta(days=2)
        archive.catalogue.set_rse(attrs.evolve(archive.catalogue.rses()[rse], is_readable=False, changed=since))
        reason = f"{belongs} cannot be read since 2026-11-20 09:00 UTC, longer than one waits"
    with pytest.raises(UsageError, match=f"'{rse}' takes no uploads now, for {reason}; there are "):
        archive.bdms.put(dl1, product=SAID, rse=rse)
    with pytest.raises(UsageError, match=f"at '{belongs}' takes uploads now, for {reason}; there are "):
        archive.bdms.put(dl1, product=SAID, near=belongs)
    assert not archive.files_on_storage()
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="archive")
    assert outcome.status is Status.REGISTERED
    assert outcome.block is not None
    origin = BlockName.parse(outcome.block.name).origin
    assert origin != belongs
    (stored,) = archive.files_on_storage()
    assert stored.startswith(f"{origin}/")


def test_one_centre_that_is_there_is_enough_to_enter_at(archive: Archive, dl1: Path) -> None:
    for rse in ("PIC-DISK", "CSCS-DISK"):
        archive.catalogue.set_rse(attrs.evolve(archive.catalogue.rses()[rse], is_writable=False))
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="archive")
    assert outcome.block is not None
    assert BlockName.parse(outcome.block.name).origin == "DESY"
    rules = archive.catalogue.rules("dpps", [outcome.block.name])[outcome.block.name]
    assert [rule.rse_expression for rule in rules] == ["centre=DESY"], "the second copy waits for its centre"


def test_no_centre_that_is_there(archive: Archive, dl1: Path) -> None:
    for rse in ("PIC-DISK", "CSCS-DISK", "DESY-DISK"):
        archive.catalogue.mark_lost(rse, "war")
    with pytest.raises(UsageError, match="takes uploads now: CSCS-DISK is marked as lost: war; DESY"):
        archive.bdms.put(dl1, product=SAID)


# --- what breaks in between ---


class CrashError(BaseException):
    """The process dies."""


class Fragile:
    """A catalogue whose process dies before or after one of its calls."""

    def __init__(self, inner: InMemoryCatalogue, calls: Iterator[int], at: int, *, after: bool) -> None:
        self._inner, self._calls, self._at, self._after = inner, calls, at, after

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._inner, name)

        def call(*arguments: object, **keywords: object) -> object:
            dies = next(self._calls) == self._at
            if dies and not self._after:
                raise CrashError
            result = method(*arguments, **keywords)
            if dies:
                raise CrashError
            return result

        return call


@pytest.mark.parametrize("after", [False, True])
def test_a_put_that_dies_at_any_call_is_repaired_by_the_next(tmp_path: Path, dl1: Path, *, after: bool) -> None:
    items = read_products([(dl1, PurePath(dl1.name))], SAID, vo="ctao")  # once: each costs a process
    for at in range(100):
        archive = Archive(tmp_path / f"{at}")
        fragile = Fragile(archive.catalogue, itertools.count(), at, after=after)
        try:
            replication = Replication(fragile, Policy.load(), lambda: NOW)
            Put(catalogue=fragile, replication=replication, retention=_FOR_EVER).run(items)
            is_over = True
        except CrashError:
            is_over = False
        for product in archive.bdms.query(scope="dpps"):
            (replica,) = archive.catalogue.files([product.lfn])[product.lfn].replicas
            stored = archive.home / replica.rse.removesuffix("-DISK") / str(product.lfn)[1:]
            assert stored.read_bytes() == dl1.read_bytes(), "the catalogue shows a file without bytes"
        later = Replication(archive.catalogue, Policy.load(), lambda: LATER)
        (outcome,) = Put(catalogue=archive.catalogue, replication=later, retention=_FOR_EVER).run(items)
        assert outcome.status in {Status.REGISTERED, Status.KNOWN}
        assert len(archive.files_on_storage()) == 1
        assert outcome.lfn is not None
        (name,) = archive.blocks_of(outcome.lfn)
        (block,) = archive.catalogue.blocks("dpps", str(name))
        assert not block.is_open
        assert len(archive.catalogue.rules("dpps", [str(name)])[str(name)]) == 2
        if is_over:
            assert at > 5
            return
    pytest.fail("the story never ends")


KILLED = """
import os, signal, sys
from pathlib import Path
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import Lfn
from ctao_bdms.storage import FileSink, sinks
from ctao_bdms.upload.deliver import deliver

root, source, name, when = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if when == "reading back":
    sinks.LocalPartialFile.read_back = die
elif when == "committing":
    sinks.LocalPartialFile.commit = die
elif when == "committed":
    commit = sinks.LocalPartialFile.commit
    sinks.LocalPartialFile.commit = lambda part: commit(part) and die()
size, digests = digest_file(source)
sink = FileSink(Path(root))
deliver(sink, Path(source), Lfn(name), size_bytes=size, adler32=digests["adler32"],
        on_bytes=die if when == "copying" else lambda _: None)
"""


@pytest.mark.parametrize("when", ["copying", "reading back", "committing", "committed"])
def test_a_killed_upload_leaves_nothing_that_the_next_does_not_take_away(tmp_path: Path, dl1: Path, when: str) -> None:
    root, lfn = tmp_path / "pic", Lfn(f"{FOLDER}/{NAME}")
    command = [sys.executable, "-c", KILLED, str(root), str(dl1), str(lfn), when]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    folder = root / FOLDER[1:]
    left = sorted(path.name for path in folder.iterdir())
    assert any(name.startswith(temporary_prefix(lfn)) for name in left)
    assert (NAME in left) == (when == "committed")
    size, digests = digest_file(dl1)
    deliver(FileSink(root), dl1, lfn, size_bytes=size, adler32=digests["adler32"])
    assert (folder / NAME).read_bytes() == dl1.read_bytes()
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_bytes_that_change_on_the_way_are_not_kept(tmp_path: Path, dl1: Path) -> None:
    lfn, size = Lfn(f"{FOLDER}/{NAME}"), dl1.stat().st_size
    with pytest.raises(UploadError, match="nothing was kept there"):
        deliver(FileSink(tmp_path / "pic"), dl1, lfn, size_bytes=size, adler32="00000001")
    assert not [path for path in (tmp_path / "pic").rglob("*") if path.is_file()]


def test_other_bytes_under_the_name_are_an_obstacle_until_they_are_old(tmp_path: Path, dl1: Path) -> None:
    lfn = Lfn(f"{FOLDER}/{NAME}")
    there = tmp_path / "pic" / FOLDER[1:] / NAME
    there.parent.mkdir(parents=True)
    there.write_bytes(b"another upload")
    size, digests = digest_file(dl1)
    sink = FileSink(tmp_path / "pic")
    with pytest.raises(UploadError, match="another upload of that name seems to be under way"):
        deliver(sink, dl1, lfn, size_bytes=size, adler32=digests["adler32"])
    assert there.read_bytes() == b"another upload"
    os.utime(there, (0, 0))
    deliver(sink, dl1, lfn, size_bytes=size, adler32=digests["adler32"])
    assert there.read_bytes() == dl1.read_bytes()


@pytest.mark.parametrize("found", [False, True])
def test_what_another_put_replaced_meanwhile_is_not_registered(archive: Archive, dl1: Path, *, found: bool) -> None:
    """A block takes long to upload: what came first looks abandoned, and another put brings other bytes."""
    second = write_dl1(dl1.with_name(NAME.replace("chunk000", "chunk001")), telescopes=(1,), seed=3)
    other = write_dl1(dl1.with_name("other.h5"), telescopes=(1,), seed=1, attributes={"OBS_ID": 2000000001})
    lfn, sink = Lfn(f"{FOLDER}/{NAME}"), FileSink(archive.home / "DESY")
    there = archive.home / "DESY" / FOLDER[1:] / NAME
    if found:  # an earlier attempt has died, not yet an hour ago
        size, digests = digest_file(dl1)
        deliver(sink, dl1, lfn, size_bytes=size, adler32=digests["adler32"])
        os.utime(there, (time.time() - 3500,) * 2)
    replaced: list[bool] = []

    def replace(_: int) -> None:
        if there.exists() and not replaced:
            replaced.append(True)
            archive.now += dt.timedelta(seconds=200 if found else 4000)
            os.utime(there, (time.time() - 4000,) * 2)
            size, digests = digest_file(other)
            deliver(sink, other, lfn, size_bytes=size, adler32=digests["adler32"])

    report = archive.bdms.put([dl1, second], product=SAID, near="DESY", jobs=1, on_uploaded=replace)
    assert replaced
    assert [outcome.status for outcome in report] == [Status.REFUSED, Status.REGISTERED]
    assert [defect.kind for defect in report[0].defects] == [DefectKind.STORAGE]
    assert "other bytes lie there than were brought" in report[0].defects[0].message
    assert not archive.catalogue.files([lfn])


def test_many_uploads_of_one_file_at_once_end_in_one(tmp_path: Path, dl1: Path) -> None:
    lfn, sink = Lfn(f"{FOLDER}/{NAME}"), FileSink(tmp_path / "pic")
    size, digests = digest_file(dl1)
    barrier, errors = threading.Barrier(8), []

    def upload() -> None:
        barrier.wait()
        try:
            deliver(sink, dl1, lfn, size_bytes=size, adler32=digests["adler32"])
        except (UploadError, OSError) as error:
            errors.append(error)

    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [path.name for path in (tmp_path / "pic").rglob("*") if path.is_file()] == [NAME]
    assert (tmp_path / "pic" / FOLDER[1:] / NAME).read_bytes() == dl1.read_bytes()
