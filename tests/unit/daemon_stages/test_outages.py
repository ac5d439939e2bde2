"""Outages are probed with few files, and end without loss."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from astropy.io import fits

from ctao_bdms.causes import Cause
from ctao_bdms.daemon.stages import scan as reading
from ctao_bdms.errors import (
    AuthenticationError,
    RefusedError,
    UnreachableError,
)
from ctao_bdms.journal import FileState, Order
from ctao_bdms.testing.contract import NIGHT
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from pathlib import Path

    from tests.house import House

    from ctao_bdms.inbox.files import LocalFile
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.model import FileFacts


def test_outage_costs_one_probe_at_a_time_and_then_all_files_continue(house: House) -> None:
    house.write(6)
    house.archive.error = UnreachableError("it does not answer")
    house.turn(4)
    begin = house.archive.asked
    house.turn(200, seconds=0.1)
    assert house.states() == {"scanned": 6}
    assert 1 <= house.archive.asked - begin <= 6, "20 s with doubling waits, whatever the number of files"
    assert house.report.snapshot["outages"].keys() == {"catalogue"}
    house.archive.error = None
    house.turn(70)
    assert house.states() == {"registered": 6}
    assert not house.circuits.open
    assert not house.journal.waiting()


def test_most_urgent_category_comes_first_after_an_outage(house: House) -> None:
    files = house.write(4)
    for file, category in zip(files, ("C", "A", "", "B"), strict=True):
        with fits.open(file.path, mode="update") as hdus:
            if category:
                hdus[1].header["DATACAT"] = category
            for hdu in hdus:
                hdu.add_checksum()
    house.archive.error = UnreachableError("it does not answer")
    house.turn(4)
    now = house.clock.now()
    due = house.journal.due(FileState.SCANNED, 4, now=now, order=Order.PRIORITY)
    assert [entry.category for entry in due] == ["A", "B", "C", ""]
    house.archive.error = None
    house.turn(70)
    assert house.states() == {"registered": 4}


def test_refused_credentials_are_read_again(house: House) -> None:
    house.write(2)
    house.archive.error = AuthenticationError("the token has expired")
    house.turn(5)
    assert set(house.circuits.open) == {Cause.CREDENTIALS}
    before = house.connections
    house.archive.error = None
    house.turn(30)
    assert house.connections == before + 1
    assert house.states() == {"registered": 2}


def test_unwritten_sightings_are_repeated(house: House) -> None:
    files = house.write(3)
    house.journal.is_full = True
    house.turn(3)
    assert house.states() == {}
    assert set(house.circuits.open) == {Cause.JOURNAL}
    house.journal.is_full = False
    house.turn(20)
    assert house.states() == {"registered": len(files)}


def test_storage_that_fails_on_one_file_is_probed_with_another(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    files = house.write(6)
    describe = house.register._describe

    def fail(file: LocalFile, facts: FileFacts | None) -> Described:
        if file.path == files[-1].path:
            raise OSError(errno.EIO, "Input/output error")
        return describe(file, facts)

    monkeypatch.setattr(house.register, "_describe", fail)
    house.turn(200)
    assert house.states() == {"registered": 5, "scanned": 1}
    (waiting,) = house.journal.entries(waiting=True)
    assert (waiting.cause, waiting.path) == (Cause.STORAGE, files[-1].path)


def test_machine_that_starts_no_worker_is_an_outage(house: House) -> None:
    files = house.write(6)
    house.scans.no_worker = True
    house.turn(3)
    assert house.journal.waiting().keys() == {Cause.MACHINE}
    assert set(house.circuits.open) == {Cause.MACHINE}
    house.scans.no_worker = False
    house.turn(100)
    assert house.states() == {"registered": len(files)}


@pytest.mark.parametrize("at_once", [39, 3, 1])
def test_server_that_refuses_everything_sends_no_night_to_quarantine(house: House, at_once: int) -> None:
    house.archive.refused[""] = RefusedError("column instance__observing_night does not exist")
    specs = night_specs(39, megabytes=0.001, night=NIGHT)
    for first in range(0, len(specs), at_once):
        for each in specs[first : first + at_once]:
            write_dl0(each, house.root)
        house.turn(4)
    quarantined = house.states().get("quarantined", 0)
    assert quarantined < 8 if at_once < 8 else quarantined == 0
    assert set(house.circuits.open) == {Cause.CATALOGUE}
    begin = len(house.archive.offered)
    house.turn(300)
    assert len(house.archive.offered) - begin <= 10, "one file a probe"
    assert house.states().get("quarantined", 0) == quarantined
    house.archive.refused.clear()
    bad = next(iter(house.journal.entries(state=FileState.SCANNED)))
    house.archive.refused[bad.path.name] = RefusedError("obs_id is too large")
    house.turn(300)
    assert house.states() == {"registered": 38 - quarantined, "quarantined": 1 + quarantined}
    assert not house.circuits.open


def test_failing_storage_is_probed_with_one_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    files = house.write(6)
    looked: list[str] = []

    class Failing:
        @staticmethod
        def of(path: Path) -> None:
            looked.append(path.name)
            raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(reading, "Stamp", Failing)
    house.turn(100, seconds=0.1)
    assert 1 <= len(looked) <= 12, "one file a probe, not all of them"
    monkeypatch.undo()
    house.turn(100)
    assert house.states() == {"registered": len(files)}
