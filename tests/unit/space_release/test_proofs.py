"""Proofs that a centre has a sound copy, and copies that are declared bad."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.unit.space_release.kept import CSCS, ONSITE, PIC, START, Kept, corrupt_copy, make_kept, set_replica_state

from ctao_bdms.model import ReplicaState
from ctao_bdms.preservation import Decision
from ctao_bdms.preservation.proofs import prove, record_proof
from ctao_bdms.preservation.verifiers import FileVerifier, ReadDigests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_copy_lost_after_its_proof_is_noticed(kept: Kept) -> None:
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


def test_repaired_copy_is_read_back_again(kept: Kept) -> None:
    corrupt_copy(kept)
    assert kept.release()[0] is Decision.FAILED
    shutil.copy(kept.path(ONSITE), kept.path(PIC))
    kept.clock[0] += dt.timedelta(minutes=1)
    assert kept.release()[0] is Decision.ENDED
    decisions = [
        (proof.rse, proof.is_sound) for proof in kept.bdms.blocks.evidence(kept.block) if proof.what == "verified"
    ]
    assert sorted(decisions) == [(CSCS, True), (PIC, False), (PIC, True)]


def test_corrupt_copy_is_declared_bad_if_another_is_sound(kept: Kept) -> None:
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


def test_account_that_may_not_declare_bad_gets_the_command(kept: Kept) -> None:
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
    set_replica_state(kept, CSCS, ReplicaState.COPYING)
    kept.archive.set_rse(attrs.evolve(kept.archive.rses()[ONSITE], is_readable=False))


@pytest.mark.parametrize("breaks", [_rot_all, _rot_and_lose, _rot_and_shut])
def test_only_copy_is_never_declared_bad(kept: Kept, breaks: Callable[[Kept], None]) -> None:
    kept.archive.may_declare_bad = True
    breaks(kept)
    proof = prove(kept.archive, kept.block, PIC, "PIC", now=lambda: kept.clock[0])
    assert not proof.is_sound
    assert "no other copy is proven sound: it was declared suspicious" in proof.result
    assert not kept.bad
    assert list(kept.archive.suspicious) == [(kept.written[0].lfn, PIC)]


def test_only_copies_that_exist_and_are_wrong_twice_are_reported(kept: Kept) -> None:
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
    set_replica_state(kept, PIC, ReplicaState.COPYING)
    assert not prove(*where, now=lambda: START).is_sound
    assert not kept.bad
    assert not kept.archive.suspicious


def test_first_of_many_corrupt_files_are_reported(tmp_path: Path) -> None:
    kept = make_kept(tmp_path, 1, files=14)
    kept.archive.may_declare_bad = True
    for number in range(14):
        kept.rot(number)
    proof = prove(kept.archive, kept.block, PIC, "PIC", now=lambda: START)
    assert proof.result.count("it was declared bad") == 10
    assert proof.result.endswith("and 4 files more")
