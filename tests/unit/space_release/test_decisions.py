"""On-site space is freed only for blocks that two centres hold; other blocks stay, with the reason."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import shutil
import tarfile
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.unit.space_release.kept import (
    CSCS,
    ONSITE,
    PIC,
    SIXTY_DAYS,
    START,
    Kept,
    change_rule,
    corrupt_copy,
    damage_manifest,
    set_replica_state,
)

from ctao_bdms.errors import (
    BdmsError,
    ForbiddenError,
    NotFoundError,
    UnreachableError,
)
from ctao_bdms.model import ReplicaState, RetentionClass, RuleState
from ctao_bdms.preservation import (
    Decision,
    SpacePolicy,
)
from ctao_bdms.replication import Policy, Replication

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_block_held_by_two_centres_is_released(kept: Kept) -> None:
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

    rows = kept.bdms.nights.release("acada", policy=SIXTY_DAYS)
    assert rows[0].why.endswith("4 files are still on site: Rucio's judge-cleaner has not removed the rule")
    (left,) = kept.bdms.nights.left_on_site(rows)
    assert left.why.startswith("4 files are on site by the catalogue, 4 on disk")
    assert kept.archive.reap() == 4
    (left,) = kept.bdms.nights.left_on_site(rows)
    assert left.why.startswith("0 files are on site by the catalogue, 4 on disk")
    shutil.rmtree(kept.storages[ONSITE] / "ctao")
    assert kept.bdms.nights.left_on_site(rows)[0].verdict is Decision.RELEASED
    assert not kept.bdms.nights.release("acada", policy=SIXTY_DAYS)
    Replication(kept.archive, Policy.load(), lambda: kept.clock[0]).reconcile("acada", "*")
    assert not kept.is_held_on_site, "what was released is not brought back"


def test_files_that_the_reaper_left_are_reported(kept: Kept) -> None:
    kept.release()
    for rule in kept.rules_of(kept.block):
        if rule.expires is not None:
            kept.archive.remove_rule(rule.id)  # the cleaner has removed the rule
    assert kept.planned() == (
        Decision.ENDED,
        "no rule holds it, and 4 files are still on site: Rucio's reaper has not deleted them",
    )


def close_pic(kept: Kept) -> None:
    kept.archive.set_rse(attrs.evolve(kept.archive.rses()[PIC], is_readable=False))


def open_block(kept: Kept) -> None:
    (block,) = kept.archive.blocks(kept.block.scope, kept.block.name)
    kept.archive.set_block(attrs.evolve(block, is_open=True))


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (corrupt_copy, "PIC: /ctao/acada/DL0"),
        (lambda kept: kept.path(CSCS).unlink(), "CSCS: /ctao/acada/DL0.*No such file"),
        (damage_manifest, "CSCS: .*bagit.tar: 5 bytes, adler32 .*; expected"),
        (
            lambda kept: set_replica_state(kept, PIC, None),
            "CSCS of 2 centres holds all of it: by the catalogue not every file",
        ),
        (lambda kept: set_replica_state(kept, PIC, ReplicaState.BAD), "CSCS of 2 centres holds all of it"),
        (
            lambda kept: kept.archive.mark_lost(f"{PIC}", "fire"),
            "CSCS of 2 .* all of it: PIC-DISK is marked as lost: fire",
        ),
        (close_pic, "CSCS of 2 centres holds all of it: PIC-DISK cannot be read"),
        (lambda kept: change_rule(kept, state=RuleState.STUCK), "the rule for centre=PIC is stuck"),
        (lambda kept: change_rule(kept, expires=START + dt.timedelta(days=900)), "the rule for centre=PIC ends"),
        (open_block, "the block is open"),
        (lambda kept: kept.clock.__setitem__(0, START + dt.timedelta(days=30)), "is 30 days old, and stays for 60"),
    ],
)
def test_unsafe_block_stays_on_site(kept: Kept, breaks: Callable[[Kept], object], said: str) -> None:
    breaks(kept)
    was_to_go = kept.planned()[0] is Decision.VERIFY
    decision, why = kept.release()
    assert decision is (Decision.FAILED if was_to_go else Decision.KEEP)
    assert re.search(said, why), why
    assert kept.is_held_on_site
    assert {proof.what for proof in kept.bdms.blocks.evidence(kept.block)} <= {"verified"}


def test_retention_class_can_have_its_own_time_on_site(kept: Kept) -> None:
    for stays, decision in (
        (dt.timedelta(days=70), Decision.KEEP),
        (dt.timedelta(), Decision.VERIFY),
        (None, Decision.KEEP),
    ):
        policy = SpacePolicy(by_class={RetentionClass.PERMANENT: stays})
        (row,) = kept.bdms.nights.release("acada", policy=policy)
        assert row.verdict is decision
    assert row.why == "what is permanent stays on site"


def test_nothing_is_released_below_the_low_water_mark(kept: Kept, tmp_path: Path) -> None:
    (row,) = kept.bdms.nights.release("acada", policy=SIXTY_DAYS, low_water=1.0)
    assert (row.verdict, row.why) == (Decision.KEEP, "the low-water mark is reached without it")
    (row,) = kept.bdms.nights.release("acada", policy=SIXTY_DAYS, low_water=0.0)
    assert row.verdict is Decision.VERIFY


def test_bad_block_does_not_keep_the_others_on_site(three: Kept) -> None:
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


def test_release_stops_at_the_low_water_mark(three: Kept) -> None:
    size_bytes = three.bdms.nights.release("acada", policy=SIXTY_DAYS)[0].size_bytes
    assert three.plan(size_bytes) == [Decision.VERIFY, Decision.KEEP, Decision.KEEP]
    assert three.plan(size_bytes + 1) == [Decision.VERIFY, Decision.VERIFY, Decision.KEEP]
    rows = three.run(size_bytes=size_bytes + 1)
    assert [row.verdict for row in rows] == [Decision.ENDED, Decision.ENDED, Decision.KEEP]
    rows = three.bdms.nights.release("acada", policy=SIXTY_DAYS, low_water=1.0, apply=True)
    assert [row.verdict for row in rows] == [Decision.ENDED, Decision.ENDED, Decision.KEEP]
    rows = three.bdms.nights.release("acada", policy=SIXTY_DAYS, low_water=0.0, apply=True)
    assert [row.verdict for row in rows] == [Decision.ENDED] * 3


@pytest.mark.parametrize("place", [ONSITE, "site=CTAO-North"])
def test_rule_of_another_account_on_site_is_kept(three: Kept, place: str) -> None:
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


def test_rule_of_another_account_at_a_centre_does_not_count(kept: Kept) -> None:
    change_rule(kept, account="jane")
    decision, why = kept.release()
    assert (decision, why) == (
        Decision.KEEP,
        "CSCS of 2 centres holds all of it: there is no rule for another one",
    )


def test_rule_with_a_lifetime_ends_by_itself(three: Kept) -> None:
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
def test_error_on_one_block_does_not_stop_the_run(three: Kept, error: BdmsError, asked: str) -> None:
    second = three.block_of(3)
    three.archive.fails[asked, second] = error
    rows = three.run()
    assert [row.verdict for row in rows] == [Decision.ENDED, Decision.FAILED, Decision.ENDED]
    assert (rows[1].why, rows.stopped) == (str(error), None)
    assert three.holds_on_site(second)
    evidence = [proof.what for proof in three.bdms.blocks.evidence(second)]
    assert "released" not in evidence
    assert ("releasing" in evidence) == (asked == "end_rule"), "the decision is kept before it is carried out"


def test_unreachable_catalogue_ends_the_run_and_reports_what_was_done(three: Kept) -> None:
    for number in (0, 3):
        three.archive.fails["end_rule", three.block_of(number)] = UnreachableError(f"it is gone {number}")
    rows = three.bdms.nights.release("acada", policy=SIXTY_DAYS, apply=True)
    assert [row.verdict for row in rows] == [Decision.FAILED, Decision.FAILED, Decision.VERIFY]
    assert [row.why for row in rows] == ["it is gone 0", "it is gone 3", "it was not reached"]
    assert str(rows.stopped) == "it is gone 3"
    assert three.holds_on_site(three.block_of(6))
