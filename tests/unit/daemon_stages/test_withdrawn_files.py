"""A file is withdrawn when its triggers are removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.errors import (
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.house import House

    from ctao_bdms.testing.dl0 import WrittenFile


def test_removed_trigger_withdraws_its_file(house: House) -> None:
    house.archive.error = UnreachableError("down")
    files = house.write(2)
    house.turn(4)
    files[0].trigger.unlink()
    house.turn(3)
    assert house.states() == {"scanned": 1, "withdrawn": 1}


@pytest.mark.parametrize("with_file", [True, False])
def test_file_removed_while_no_daemon_ran_is_withdrawn(make: Callable[[], House], with_file: bool) -> None:
    first = make()
    first.scan.drain()
    gone, _ = first.write(2)
    first.turn(2)
    assert first.states() == {"found": 2}
    first.journal.close()
    gone.trigger.unlink()
    if with_file:
        gone.path.unlink()
    second = make()
    second.turn(6)
    assert second.states() == {"withdrawn": 1, "registered": 1}
    assert not second.journal.waiting()


def test_trigger_removed_after_registration_withdraws_nothing(
    make: Callable[[], House],
) -> None:
    """The first daemon was killed before it wrote the registration into its journal."""
    first = make()
    first.archive.error = UnreachableError("down")
    first.write(2)
    first.turn(4)
    assert first.states() == {"scanned": 2}
    first.archive.error = None
    first.bdms.ingest(first.root)
    first.journal.close()
    second = make()
    second.archive = first.archive
    second.discover.step(probe=False)
    second.turn(6)
    assert second.states() == {"registered": 2}


def test_files_return_when_their_storage_is_mounted_again(make: Callable[[], House]) -> None:
    first = make()
    first.scan.drain()
    first.write(2)
    first.turn(2)
    away = first.root.with_name("away")
    first.root.rename(away)
    first.turn(3)
    assert first.states() == {"found": 2}
    first.root.mkdir()
    first.turn(3)
    assert first.states() == {"found": 2}
    first.journal.close()
    second = make()  # all that it sees is an inbox that is empty
    second.turn(3)
    assert second.states() == {"withdrawn": 2}
    second.root.rmdir()
    away.rename(second.root)
    second.turn(6)
    assert second.states() == {"registered": 2}


def write_with_link(house: House) -> tuple[WrittenFile, Path]:
    """Write a file, and a link to it with a trigger of its own; return the file and that trigger."""
    (file,) = house.write(1)
    link = house.root / "link.fits"
    link.symlink_to(file.path)
    trigger = link.with_name("link.fits.trigger")
    trigger.touch()
    os.utime(trigger, (1, 1))  # made at another time than the file's own, whatever the tick of the file system
    return file, trigger


@pytest.mark.parametrize("is_first", [True, False])
def test_both_triggers_of_one_file_are_removed(house: House, is_first: bool) -> None:
    file, other = write_with_link(house)
    if is_first:
        away = file.trigger.rename(house.settings.state.folder / "away")
        house.scan.drain()
        house.turn(2)
        away.rename(file.trigger)
        house.turn(2)
        house.scan._is_draining = False
    house.turn(8)
    assert house.states() == {"registered": 1}
    assert (os.path.lexists(file.trigger), os.path.lexists(other)) == (False, False)
    assert house.discover._linked == {}
    assert house.discover._others == {}


def test_file_is_withdrawn_when_its_last_trigger_is_removed(house: House) -> None:
    file, other = write_with_link(house)
    house.scan.drain()
    house.turn(3)
    assert house.states() == {"found": 1}
    file.trigger.unlink()
    house.turn(3)
    assert house.states() == {"found": 1}, "the other one still says that it is complete"
    other.unlink()
    house.turn(3)
    assert house.states() == {"withdrawn": 1}
