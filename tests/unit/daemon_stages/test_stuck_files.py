"""A file that cannot be replicated waits alone; the others of its block are replicated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.daemon.stages.replicate import STUCK
from ctao_bdms.journal import FileState
from ctao_bdms.model import ReplicaState

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.house import House

    from ctao_bdms.model import Lfn
    from ctao_bdms.testing.dl0 import WrittenFile


def _registered(house: House, count: int) -> list[WrittenFile]:
    files = house.write(count)
    house.turn(8)
    assert house.states() == {"registered": count}
    return files


def _go_on(house: House, refused: Collection[Lfn] = (), times: int = 6) -> None:
    for _ in range(times):
        house.turn(3, seconds=61)
        house.archive.transfer(refused)
    house.turn(4)


def _n_copies(house: House, lfn: Lfn) -> int:
    replicas = house.archive.files([lfn])[lfn].replicas
    return sum(replica.state is ReplicaState.AVAILABLE for replica in replicas)


def test_sound_files_of_a_block_are_replicated_beside_a_bad_one(house: House) -> None:
    bad, *others = _registered(house, 14)
    _go_on(house, {bad.lfn})
    assert [_n_copies(house, file.lfn) for file in others] == [3] * 13
    assert _n_copies(house, bad.lfn) == 1
    assert house.states() == {"registered": 1, "replicated": 13}
    entry = house.journal.entry(bad.path)
    assert entry is not None
    assert (entry.state, entry.cause) == (FileState.REGISTERED, STUCK)
    assert "bdms rules explain '/ctao/acada/blocks/" in entry.why
    assert [event.event for event in house.journal.events(bad.path)].count("waiting") == 1, "said once"


def test_file_that_was_mended_is_replicated(house: House) -> None:
    bad, *_ = _registered(house, 3)
    _go_on(house, {bad.lfn})
    assert house.states() == {"registered": 1, "replicated": 2}
    _go_on(house)
    assert house.states() == {"replicated": 3}
    assert not house.journal.waiting()


def test_file_lost_by_the_archive_is_not_replicated(house: House) -> None:
    """Rucio detaches a file whose last copy was declared bad: its block is complete without it."""
    lost, *_ = _registered(house, 3)
    house.archive.remove_file(lost.lfn)
    _go_on(house)
    assert house.states() == {"registered": 1, "replicated": 2}
    entry = house.journal.entry(lost.path)
    assert entry is not None
    assert entry.cause == STUCK
