"""A file that cannot be ingested waits alone, and is tried again."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.causes import Cause
from ctao_bdms.daemon.stages.register import FAILED, REFUSED
from ctao_bdms.errors import (
    UnreachableError,
)
from ctao_bdms.journal import FileState
from ctao_bdms.testing.contract import NIGHT
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    import pytest
    from tests.house import House

    from ctao_bdms.inbox.files import LocalFile
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.model import FileFacts


def test_file_outside_the_root_waits_for_an_operator(house: House, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere.fits"
    outside.write_bytes(b"x")
    link = house.root / "link.fits"
    link.symlink_to(outside)
    link.with_name("link.fits.trigger").touch()
    house.turn(10)
    assert {cause: tally.files for cause, tally in house.journal.waiting().items()} == {REFUSED: 1}
    assert outside.exists()
    house.write(1)
    house.turn(6)
    assert house.states() == {"registered": 1, "found": 1}


def test_file_changed_between_scan_and_registration_is_scanned_again(house: House) -> None:
    (file,) = house.write(1)
    house.archive.error = UnreachableError("down")
    house.turn(4)
    assert house.states() == {"scanned": 1}
    content = file.path.read_bytes()
    other = file.path.with_name("other")
    other.write_bytes(content)
    os.utime(other, (1, 1))
    other.rename(file.path)
    house.archive.error = None
    house.turn(80)
    assert house.states() == {"registered": 1}
    (entry,) = house.journal.entries()
    assert entry.stamp is not None
    assert entry.stamp.modified_ns == 10**9


def test_file_that_was_missing_for_a_while_is_registered(house: House) -> None:
    """Its trigger did not change, so no event says that the file is back."""
    (file,) = house.write(1)
    house.archive.error = UnreachableError("down")
    house.turn(4)
    away = house.settings.state.folder / "away"
    file.path.rename(away)
    house.archive.error = None
    house.turn(20)
    assert house.journal.waiting().keys() == {Cause.NO_FILE}
    away.rename(file.path)
    house.turn(150)
    assert house.states() == {"registered": 1}


def test_trigger_that_cannot_be_removed_stops_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = house.write(6)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == files[2].trigger:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    house.turn(20)
    assert house.states() == {"registered": 6}
    assert [os.path.lexists(file.trigger) for file in files] == [file is files[2] for file in files]
    assert not house.circuits.open
    write_dl0(night_specs(7, megabytes=0.02, night=NIGHT)[6], house.root)
    house.turn(20)
    assert house.states() == {"registered": 7}
    assert caplog.text.count("its trigger stays until somebody removes it") == 1


def test_missing_permission_makes_its_file_wait(house: House) -> None:
    """If it counted as an outage, each probe would take the same file first."""
    files = house.write(4)
    house.archive.refused[files[-1].path.name] = PermissionError(errno.EACCES, "Permission denied")
    house.turn(100)
    assert house.states() == {"registered": 3, "scanned": 1}
    (waiting,) = house.journal.entries(waiting=True)
    assert (waiting.cause, waiting.path) == (FAILED, files[-1].path)


def test_registered_file_missing_in_the_journal_is_not_withdrawn(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.write(4)
    house.turn(3)
    assert house.states() == {"scanned": 4}
    house.journal.is_full = True
    caplog.set_level("INFO")
    house.turn(5)
    assert house.states() == {"scanned": 4}
    assert not list(house.root.rglob("*.trigger"))
    house.journal.is_full = False
    house.turn(20)
    assert house.states() == {"registered": 4}
    events = [event.event for entry in house.journal.entries() for event in house.journal.events(entry.path)]
    assert "withdrawn" not in events
    assert caplog.text.count("s after its trigger") == 4, "each is told once"
    assert all(entry.block is not None for entry in house.journal.entries())


def test_file_that_became_a_link_waits_alone(house: House) -> None:
    house.archive.error = UnreachableError("down")
    files = house.write(3)
    house.turn(4)
    assert house.states() == {"scanned": 3}
    moved = files[0].path.with_name("moved")
    files[0].path.rename(moved)
    files[0].path.symlink_to(moved.name)
    house.archive.error = None
    house.turn(30)
    assert house.states() == {"registered": 2, "scanned": 1}
    (waiting,) = house.journal.entries(waiting=True)
    assert (waiting.cause, waiting.path) == (REFUSED, files[0].path)
    assert f"is a link to {moved}" in waiting.why
    files[0].path.unlink()
    moved.rename(files[0].path)
    house.turn(70)
    assert house.states() == {"registered": 3}


def test_file_on_which_the_software_fails_waits_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = house.write(6)
    describe = house.register._describe

    def fail(file: LocalFile, facts: FileFacts | None) -> Described:
        if file.path == files[3].path:
            raise ValueError("a date that nobody thought of")
        return describe(file, facts)

    monkeypatch.setattr(house.register, "_describe", fail)
    house.turn(60)
    assert house.states() == {"registered": 5, "scanned": 1}
    (waiting,) = house.journal.entries(waiting=True)
    assert (waiting.cause, waiting.path) == (FAILED, files[3].path)
    assert waiting.attempts > 2
    assert caplog.text.count("Traceback") == 1
    monkeypatch.undo()
    house.turn(70)
    assert house.states() == {"registered": 6}


def test_file_that_fails_its_batch_is_found_by_halving(house: House, caplog: pytest.LogCaptureFixture) -> None:
    files = house.write(24)
    house.archive.refused[files[11].path.name] = KeyError("a key that nobody thought of")
    while house.states() != {"registered": 23, "scanned": 1}:
        house.turn()
        assert house.clock.now_s < 100, house.states()
    assert sum(count > 1 for count in house.archive.offered) < 12, house.archive.offered
    house.turn(20)
    (waiting,) = house.journal.entries(waiting=True)
    assert (waiting.cause, waiting.path) == (FAILED, files[11].path)
    assert caplog.text.count("Traceback") == 1
    house.archive.refused.clear()
    house.turn(70)
    assert house.states() == {"registered": 24}


def test_loop_sleeps_until_the_next_try_of_waiting_files(house: House) -> None:
    house.write(4)
    house.archive.refused[""] = KeyError("a key that nobody thought of")
    house.turn(20)
    assert {cause: tally.files for cause, tally in house.journal.waiting().items()} == {FAILED: 4}
    while house.journal.due(FileState.SCANNED, 1, now=house.clock.now()):
        house.turn(seconds=0.01)
    house.loop.turn()
    assert house.register.due_in_s() > 0.1


def test_failed_scan_affects_its_file_only(house: House) -> None:
    files = house.write(3)
    house.scans.raised[files[1].path.name] = ImportError("the library was replaced under us")
    house.turn(8)
    assert house.states() == {"registered": 2, "found": 1}
    (waiting,) = house.journal.entries(waiting=True)
    assert (waiting.cause, waiting.path) == (Cause.WORKER, files[1].path)
    assert "ImportError: the library was replaced under us" in waiting.why
    house.scans.raised.clear()
    house.turn(100)
    assert house.states() == {"registered": 3}
