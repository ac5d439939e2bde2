"""The daemon's stages together: real folders, journal, watch and scans; an archive in memory; clocks moved by hand."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from astropy.io import fits
from tests.house import BEGIN, House, Reader

from ctao_bdms.causes import Cause
from ctao_bdms.daemon.config.settings import Checks, Http
from ctao_bdms.daemon.draining import drain
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.daemon.service import Service
from ctao_bdms.daemon.stages import scan as reading
from ctao_bdms.daemon.stages.register import FAILED, REFUSED
from ctao_bdms.errors import (
    AuthenticationError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from ctao_bdms.ingest import Status
from ctao_bdms.journal import FileState, Order
from ctao_bdms.model import FileFacts, Rse
from ctao_bdms.quarantine import OperatorAction, Quarantine, restore
from ctao_bdms.testing.contract import NIGHT, ONSITE
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ctao_bdms.inbox.files import LocalFile
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.model import ArchivedFile, Lfn, Rule
    from ctao_bdms.testing.dl0 import WrittenFile


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[], House]]:
    houses: list[House] = []
    with ThreadPoolExecutor(2) as threads, Lease.claim(tmp_path / "lease") as lease:

        def new() -> House:
            houses.append(House(tmp_path, Reader(threads), lease))
            return houses[-1]

        yield new
        for house in houses:
            house.journal.close()


@pytest.fixture
def house(make: Callable[[], House]) -> House:
    return make()


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[House]:
    """A house that has files registered beside its loop."""
    with ThreadPoolExecutor(2) as threads, ThreadPoolExecutor(1) as aside, Lease.claim(tmp_path / "lease") as lease:
        house = House(tmp_path, Reader(threads), lease, aside)
        yield house
        house.archive.may_answer.set()
        house.journal.close()


def _until_registered(house: House) -> None:
    """Turn until the archive has files, and does not answer."""
    house.archive.may_answer.clear()
    files = house.write()
    for _ in range(50):
        house.turn()
        if house.register.busy and len(house.archive.files([file.lfn for file in files])) == 4:
            return
    raise AssertionError(house.states())


def _answer(house: House) -> None:
    """Let the archive answer."""
    house.archive.may_answer.set()
    while house.register.due_in_s() > 0:
        assert house.context.wake.wait(30)
        house.context.wake.clear()


def test_the_loop_goes_on_while_files_are_registered(beside: House) -> None:
    _until_registered(beside)
    assert beside.register.due_in_s() == float("inf")
    assert beside.register.has_due
    more = write_dl0(night_specs(5, megabytes=0.02, night=NIGHT)[4], beside.root)
    beside.turn(3)
    assert beside.states() == {"scanned": 5}
    _answer(beside)
    beside.turn(1)
    assert beside.states() == {"registered": 4, "scanned": 1}
    beside.turn(3)
    beside.archive.may_answer.set()
    beside.register.finish()
    assert beside.register.close(everything=True)
    assert beside.states() == {"registered": 5}
    assert not os.path.lexists(more.trigger)


def test_changes_of_a_file_during_registration_are_written_afterwards(beside: House) -> None:
    _until_registered(beside)
    entries = {entry.path.name: entry for entry in beside.journal.entries()}
    gone, again, *_ = entries.values()
    assert gone.trigger is not None
    assert again.trigger is not None
    gone.trigger.unlink()
    again.path.write_bytes(b"other")
    again.trigger.unlink()
    again.trigger.touch()
    beside.turn(3)
    assert beside.states() == {"scanned": 4}
    _answer(beside)
    beside.turn(4)
    events = [event.event for event in beside.journal.events(gone.path)]
    assert "withdrawn" not in events
    beside.register.finish()
    assert beside.states() == {"registered": 3, "quarantined": 1}


def test_an_archive_that_fails_beside_the_loop_is_probed(beside: House) -> None:
    beside.archive.error = UnreachableError("down")
    beside.write()
    for _ in range(20):
        beside.turn()
    assert Cause.CATALOGUE in beside.circuits.open
    assert beside.states() == {"scanned": 4}
    beside.archive.error = None
    for _ in range(200):
        beside.turn()
    beside.register.finish()
    assert beside.states() == {"registered": 4}


def test_from_trigger_to_two_centres(house: House) -> None:
    files = house.write()
    house.turn(6)
    assert house.states() == {"registered": 4}
    assert len(house.archive.files([file.lfn for file in files])) == 4
    assert not any(os.path.lexists(file.trigger) for file in files)
    house.turn(seconds=61)
    for _ in range(2):
        house.turn(2)
        house.archive.transfer()
    house.turn(3)
    assert house.states() == {"replicated": 4}
    house.turn(2)
    totals = house.report.snapshot["files"]
    assert totals["replicated"]["files"] == 4
    assert house.report.snapshot["outages"] == {}


def test_a_night_that_was_complete_is_looked_at_again(house: House) -> None:
    """Nothing is on its way any more: a centre that is lost, or a rule that was ended, is found all the same."""
    house.archive.set_rse(Rse(name="DESY-DISK", prefix="/DESY", centre="DESY"))
    house.write()
    house.turn(6)
    house.turn(seconds=61)
    for _ in range(4):
        house.turn(2, seconds=31)
        house.archive.transfer()
    house.turn(3, seconds=31)
    assert house.states() == {"replicated": 4}

    def where() -> dict[str, Rule]:
        (block,) = house.archive.blocks("acada", "*/blocks/*")
        return {rule.rse_expression: rule for rule in house.archive.rules("acada", [block.did.name])[block.did.name]}

    (kept, spare) = (name for name in ("PIC", "CSCS", "DESY") if f"centre={name}" in where())
    (third,) = {"PIC", "CSCS", "DESY"} - {kept, spare}
    lost = house.archive.rses()[f"{spare}-DISK"]
    house.archive.set_rse(attrs.evolve(lost, lost="a fire", is_readable=False, is_writable=False))
    house.turn(12, seconds=31)
    assert where()[f"centre={third}"].source == f"centre={kept}"
    house.archive.transfer()
    house.archive.end_rule(where()[f"centre={third}"].id)
    house.archive.reap()
    assert f"centre={third}" not in where()
    house.turn(12, seconds=31)
    assert f"centre={third}" in where()
    assert house.states() == {"replicated": 4}


def test_centres_that_are_full_keep_nothing_from_entering(house: House) -> None:
    for name in ("PIC-DISK", "CSCS-DISK"):
        house.archive.set_rse(attrs.evolve(house.archive.rses()[name], is_full=True))
    house.write(4)
    house.turn(6)
    house.turn(3, seconds=61)
    assert not house.circuits.open
    (block,) = house.archive.blocks("acada", "*/blocks/*")
    rules = house.archive.rules("acada", [block.did.name])[block.did.name]
    assert [rule.rse_expression for rule in rules] == [ONSITE]
    late = write_dl0(night_specs(5, megabytes=0.02, night=NIGHT)[4], house.root)
    house.turn(6)
    assert house.states() == {"registered": 5}
    assert not os.path.lexists(late.trigger)


def test_an_outage_costs_one_probe_a_time_and_all_go_on_after_it(house: House) -> None:
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


def test_after_an_outage_the_most_urgent_category_comes_first(house: House) -> None:
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


def test_credentials_that_were_refused_are_read_anew(house: House) -> None:
    house.write(2)
    house.archive.error = AuthenticationError("the token has expired")
    house.turn(5)
    assert set(house.circuits.open) == {Cause.CREDENTIALS}
    before = house.connections
    house.archive.error = None
    house.turn(30)
    assert house.connections == before + 1
    assert house.states() == {"registered": 2}


def test_sightings_that_were_not_written_are_repeated(house: House) -> None:
    files = house.write(3)
    house.journal.is_full = True
    house.turn(3)
    assert house.states() == {}
    assert set(house.circuits.open) == {Cause.JOURNAL}
    house.journal.is_full = False
    house.turn(20)
    assert house.states() == {"registered": len(files)}


def test_bad_files_go_to_quarantine_and_stop_nobody(house: House) -> None:
    files = house.write(3)
    damage(files[0].path, Damage.TRUNCATED)
    strange = files[1].path.with_name("no name at all.fits.fz")
    strange.write_bytes(b"x")
    strange.with_name(strange.name + ".trigger").touch()
    house.turn(8)
    assert house.states() == {"registered": 2, "quarantined": 2}
    assert len(Quarantine(house.settings.quarantine).cases()) == 2
    assert house.scan.nameless == {}


def _wrong(house: House) -> Path:
    """Have a file go to quarantine whose name says another chunk than its content; return where it lay."""
    (file,) = house.write(1)
    wrong = file.path.with_name(file.path.name.replace("CHUNK000", "CHUNK007"))
    file.path.rename(wrong)
    file.trigger.unlink()
    wrong.with_name(wrong.name + ".trigger").touch()
    house.turn(6)
    assert house.states() == {"quarantined": 1}
    return wrong


def test_restored_file_is_ingested_at_once(house: House) -> None:
    path = _wrong(house)
    case, action = house.case, OperatorAction.now("release", house.clock.now())
    restore(house.bdms.quarantine.at(), case, action)
    house.turn(6)
    assert (house.states(), path.exists()) == ({"quarantined": 1}, False)
    assert house.case.id != case.id, "it was read again, and is as wrong as before"
    assert house.case.kept_trigger.exists()
    house.settings = attrs.evolve(house.settings, checks=Checks(warn=("chunk",)))
    restore(house.bdms.quarantine.at(), house.case, action)
    house.turn(6)
    assert house.states() == {"registered": 1}
    assert not house.bdms.quarantine.cases()


def test_sidecar_is_compared_again(house: House) -> None:
    (file,) = house.write(1)
    file.trigger.unlink()
    file.trigger.write_text(f"{'0' * 64}  {file.path.name}\n")
    house.turn(6)
    assert house.case.kinds == ("sidecar",)
    (outcome,) = house.bdms.quarantine.retry(house.case)
    assert (outcome.status, house.case.kinds) == (Status.QUARANTINED, ("sidecar",))
    restore(house.bdms.quarantine.at(), house.case, OperatorAction.now("release", house.clock.now()))
    house.turn(6)
    assert (house.states(), house.case.kinds) == ({"quarantined": 1}, ("sidecar",))


@pytest.mark.parametrize("command", ["retry", "accept"])
def test_daemon_skips_files_that_a_command_ingests(house: House, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """It turns in the middle of the command: between the reading of the file and its registration."""
    path = _wrong(house)
    files = house.archive.files

    def slow(lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        monkeypatch.setattr(house.archive, "files", files)
        assert path.exists()
        house.turn(6)
        return files(lfns)

    monkeypatch.setattr(house.archive, "files", slow)
    if command == "accept":
        (outcome,) = house.bdms.quarantine.accept(house.case, "the only one")
    else:
        (outcome,) = house.bdms.quarantine.retry(house.case, checks=Checks(warn=("chunk",)).policy)
    assert (outcome.status, path.exists()) == (Status.REGISTERED, True)
    assert not house.bdms.quarantine.cases()
    house.turn(2)
    (entry,) = house.journal.entries()
    assert (entry.state, entry.block) == (FileState.REGISTERED, outcome.block)
    for _ in range(2):
        house.turn(2, seconds=61)
        house.archive.transfer()
    house.turn(2, seconds=61)
    assert house.states() == {"replicated": 1}


def test_a_retry_that_the_archive_does_not_answer_is_repeated(house: House) -> None:
    path = _wrong(house)
    policy = Checks(warn=("chunk",)).policy
    house.archive.error = UnreachableError("down")
    with pytest.raises(UnreachableError):
        house.bdms.quarantine.retry(house.case, checks=policy)
    assert (house.case.file.exists(), path.exists()) == (True, True)
    house.turn(3)
    assert house.states() == {"quarantined": 1}
    house.archive.error = None
    assert [outcome.status for outcome in house.bdms.quarantine.retry(house.case, checks=policy)] == [Status.REGISTERED]
    assert not house.bdms.quarantine.cases()
    house.turn(3)
    assert house.states() == {"registered": 1}


def test_old_command_does_not_affect_the_next_file(make: Callable[[], House]) -> None:
    first = make()
    path = _wrong(first)
    first.bdms.quarantine.accept(first.case, "the only one")
    first.turn(2)
    path.write_bytes(b"another one")
    path.with_name(path.name + ".trigger").touch()
    first.turn(6)
    assert first.states() == {"quarantined": 1}
    first.journal.close()
    second = make()
    second.archive, second.clock.now_s = first.archive, first.clock.now_s
    second.turn(3)
    assert second.states() == {"quarantined": 1}


def test_a_log_that_cannot_be_read_stops_nobody(house: House, caplog: pytest.LogCaptureFixture) -> None:
    (house.settings.quarantine / "events.jsonl").mkdir(parents=True)
    house.write(1)
    house.turn(6)
    assert house.states() == {"registered": 1}
    assert caplog.text.count("stays unknown") == 1


def test_a_trigger_that_stands_keeps_a_command_from_ingesting(house: House) -> None:
    path = _wrong(house)
    path.with_name(path.name + ".trigger").touch()
    with pytest.raises(UsageError, match="stands: a daemon may take"):
        house.bdms.quarantine.accept(house.case, "the only one")
    assert not path.exists()


def test_a_file_outside_the_root_waits_for_somebody(house: House, tmp_path: Path) -> None:
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


def test_a_file_that_changed_between_scan_and_registration_is_read_again(house: House) -> None:
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


def test_a_file_that_went_away_and_came_back_is_taken(house: House) -> None:
    """The trigger never moved: nobody tells again that the file is there."""
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


def test_a_trigger_that_nobody_may_remove_stops_nobody(
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


def test_a_quarantine_that_takes_nothing_keeps_its_files_waiting_and_no_others(house: House) -> None:
    house.settings.quarantine.write_text("no folder: nobody can make one here, whatever their rights")
    files = house.write(6)
    damage(files[0].path, Damage.TRUNCATED)
    house.turn(10)
    assert house.states() == {"registered": 5, "scanned": 1}
    assert house.journal.waiting().keys() == {REFUSED}
    assert not house.circuits.open
    (waiting,) = house.journal.entries(waiting=True)
    assert "cannot be moved into quarantine" in waiting.why
    house.settings.quarantine.unlink()
    house.turn(100)
    assert house.states() == {"registered": 5, "quarantined": 1}


def test_missing_permission_makes_its_file_wait(house: House) -> None:
    """Whatever it is: if it counted as an outage, the probe would take the same file first again and again."""
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


def test_a_file_that_became_a_link_waits_and_stops_nobody(house: House) -> None:
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


def test_a_file_over_which_the_software_fails_waits_alone(
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


def test_a_storage_that_fails_over_one_file_is_probed_by_another(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_machine_that_starts_no_worker_is_an_outage_and_no_fault_of_files(house: House) -> None:
    files = house.write(6)
    house.scans.no_worker = True
    house.turn(3)
    assert house.journal.waiting().keys() == {Cause.MACHINE}
    assert set(house.circuits.open) == {Cause.MACHINE}
    house.scans.no_worker = False
    house.turn(100)
    assert house.states() == {"registered": len(files)}


def test_a_file_over_which_a_batch_fails_is_found_by_halves(house: House, caplog: pytest.LogCaptureFixture) -> None:
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


def test_files_that_wait_for_their_own_time_let_the_loop_sleep(house: House) -> None:
    house.write(4)
    house.archive.refused[""] = KeyError("a key that nobody thought of")
    house.turn(20)
    assert {cause: tally.files for cause, tally in house.journal.waiting().items()} == {FAILED: 4}
    while house.journal.due(FileState.SCANNED, 1, now=house.clock.now()):
        house.turn(seconds=0.01)
    house.loop.turn()
    assert house.register.due_in_s() > 0.1


@pytest.mark.parametrize("at_once", [39, 3, 1])
def test_a_server_that_refuses_everything_sends_no_night_to_quarantine(house: House, at_once: int) -> None:
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


def test_a_scan_that_raises_concerns_its_file_only(house: House) -> None:
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


def test_storage_that_fails_is_probed_by_one_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_draining_hands_out_nothing_more(house: House) -> None:
    house.turn(2)
    house.scan.drain()
    house.write(2)
    house.turn(5)
    assert house.states() == {"found": 2}
    assert house.scan.running == 0
    assert not house.register.has_due


def finish(house: House, limit_s: float = 10) -> None:
    """Do what a daemon does when it is told to stop."""

    def pause(seconds: float) -> None:
        house.turn(seconds=seconds)

    drain(house.daemon, limit_s=limit_s, clocks=attrs.evolve(house.clock.clocks, sleep=pause))


def test_stopping_daemon_finishes_its_work(house: House) -> None:
    house.write(3)
    house.turn(2)
    assert house.states() == {"found": 3}
    finish(house)
    assert house.states() == {"registered": 3}
    (block,) = house.archive.blocks("acada", "*")
    assert (block.is_open, block.n_files) == (False, 4), "three files and their manifest"


def test_stopping_daemon_does_not_wait_for_the_archive(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.write(2)
    house.turn(6)
    house.write(4)
    house.archive.error = UnreachableError("it does not answer")
    begin_s = house.clock.now_s
    finish(house)
    assert house.clock.now_s - begin_s < 12
    assert "open blocks are left to the next daemon: it does not answer" in caplog.text


def test_stopping_daemon_closes_its_blocks_without_its_journal(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.write(2)
    house.turn(6)
    house.journal.is_broken = True
    finish(house)
    assert "files at hand are left to the next daemon" in caplog.text
    assert not any(block.is_open for block in house.archive.blocks("acada", "*"))


def test_stopping_daemon_waits_for_its_batch_if_rules_fail(beside: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is given back then: nothing may be registered under it any more."""

    def fail() -> None:
        raise UnreachableError("the rules cannot be asked for")

    _until_registered(beside)
    monkeypatch.setattr(beside.replicate, "close_all", fail)
    threading.Timer(0.5, beside.archive.may_answer.set).start()
    finish(beside, limit_s=0)
    assert not beside.register.busy
    assert beside.states() == {"registered": 4}


def test_a_withdrawn_trigger_takes_its_file_out(house: House) -> None:
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


def test_a_trigger_that_was_removed_because_its_file_was_registered_withdraws_nothing(
    make: Callable[[], House],
) -> None:
    """The first daemon was killed before it could write down what it had done."""
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


def test_a_storage_that_is_not_mounted_withdraws_nothing_for_good(make: Callable[[], House]) -> None:
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


def _linked(house: House) -> tuple[WrittenFile, Path]:
    """Write a file, and a link to it with a trigger of its own; return the file and that trigger."""
    (file,) = house.write(1)
    link = house.root / "link.fits"
    link.symlink_to(file.path)
    trigger = link.with_name("link.fits.trigger")
    trigger.touch()
    os.utime(trigger, (1, 1))  # made at another time than the file's own, whatever the tick of the file system
    return file, trigger


@pytest.mark.parametrize("is_first", [True, False])
def test_two_triggers_of_one_file_are_both_done_with(house: House, is_first: bool) -> None:
    file, other = _linked(house)
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


def test_a_file_is_withdrawn_when_no_trigger_stands_for_it(house: House) -> None:
    file, other = _linked(house)
    house.scan.drain()
    house.turn(3)
    assert house.states() == {"found": 1}
    file.trigger.unlink()
    house.turn(3)
    assert house.states() == {"found": 1}, "the other one still says that it is complete"
    other.unlink()
    house.turn(3)
    assert house.states() == {"withdrawn": 1}


def test_restarted_daemon_scans_nothing_again_and_finishes_the_work(make: Callable[[], House]) -> None:
    first = make()
    files = first.write(3)
    first.turn(6)
    assert [block.is_open for block in first.archive.blocks("acada", "*")] == [True]
    first.journal.close()
    second = make()
    second.archive = first.archive
    for file in files:
        file.trigger.symlink_to(file.path.name)
    second.scans.raised = {file.path.name: AssertionError("it was read again") for file in files}
    second.turn(6)
    assert second.states() == {"registered": 3}
    assert [block.is_open for block in second.archive.blocks("acada", "*")] == [False]
    for _ in range(2):
        second.archive.transfer()
        second.turn(3)
    assert second.states() == {"replicated": 3}, "files that were known already are followed, too"


def test_work_is_finished_after_a_restart_without_a_new_file(make: Callable[[], House]) -> None:
    """The clock of the second daemon is behind that of the server, which knows when the block was made."""
    first = make()
    first.write(3)
    first.turn(6)
    first.journal.close()
    second = make()
    second.archive = first.archive
    for _ in range(3):
        second.turn(2)
        second.archive.transfer()
    assert second.states() == {"replicated": 3}


def test_a_lost_journal_is_filled_from_the_archive(make: Callable[[], House], tmp_path: Path) -> None:
    first = make()
    first.write(3)
    first.turn(6)
    first.journal.close()
    for piece in tmp_path.glob("journal.sqlite*"):
        piece.unlink()
    second = make()
    second.archive = first.archive
    second.write(4)
    second.turn(6)
    assert second.states() == {"registered": 4}
    for _ in range(4):  # the server's clock stands still: what is fulfilled is found when everything is looked at
        second.turn(2, seconds=61)
        second.archive.transfer()
    assert second.states() == {"replicated": 4}


def _shown(house: House, name: str, **labels: str) -> float | None:
    return house.metrics.registry.get_sample_value(f"bdms_ingestd_{name}", labels)


def test_a_file_that_waits_for_anything_counts_as_waiting(house: House) -> None:
    (file,) = house.write(1)
    triggered_s = file.trigger.lstat().st_mtime
    house.scans.raised[file.path.name] = ImportError("the library was replaced under us")
    for _ in range(20):
        house.turn()
        if house.journal.waiting() and not house.journal.due(FileState.FOUND, 1, now=house.clock.now()):
            break
    else:
        raise AssertionError(house.journal.waiting())
    house.report.step(probe=False)
    assert _shown(house, "waiting_files", cause="worker") == 1
    assert _shown(house, "oldest_waiting_timestamp_seconds") == pytest.approx(triggered_s, abs=0.001)
    assert house.report.snapshot["oldest_waiting"]
    house.scans.raised.clear()
    house.turn(20)
    assert house.states() == {"registered": 1}
    assert _shown(house, "waiting_files", cause="worker") == 0
    assert _shown(house, "oldest_waiting_timestamp_seconds") == 0


def test_unreadable_inbox_is_reported(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    house.write(1)
    for number in range(30):
        (house.root / f"x{number}.fits.trigger").touch()
    house.turn(3)
    inbox = house.report.snapshot["inbox"]
    assert (inbox["waiting_triggers"], len(inbox["waiting"]), house.report.hidden_folders) == (30, 20, 0)
    assert _shown(house, "inbox_waiting_triggers") == 30
    assert sum("x7.fits.trigger' waits: " in record.getMessage() for record in caplog.records) == 1
    house.root.rename(house.root.with_name("unmounted"))
    house.turn(3)
    service = Service(attrs.evolve(house.settings, http=Http(port=0)), reload=lambda: house.settings)
    with service._server(house.daemon) as server:
        status, body, _ = server.answer("/readyz")
    checks = json.loads(body)["checks"]
    assert (status, [name for name, check in checks.items() if not check["ok"]]) == (503, ["inbox"])
    assert checks["inbox"]["said"].startswith("1 folders cannot be looked at")
    assert house.report.hidden_folders == 1
    assert _shown(house, "inbox_errors", kind="folder") == 1
    house.root.with_name("unmounted").rename(house.root)
    house.turn(3)
    assert house.report.hidden_folders == 0
    assert _shown(house, "inbox_errors", kind="folder") == 0


def test_a_lost_journal_is_filled_though_the_first_starts_meet_no_archive(
    make: Callable[[], House], tmp_path: Path
) -> None:
    """The files were registered, and their block neither closed nor given rules, when the journal was lost."""
    first = make()
    first.write(3)
    first.turn(6)
    first.journal.close()
    for piece in tmp_path.glob("journal.sqlite*"):
        piece.unlink()
    for _ in range(2):
        beginning = make()
        beginning.archive = first.archive
        beginning.archive.error = UnreachableError("down")
        beginning.turn(3)
        assert beginning.states() == {}
        beginning.journal.close()
    later = make()
    later.clock.now_s = 3 * 86_400.0
    later.archive = first.archive
    later.archive.error = None
    later.turn(6)
    assert later.states() == {"registered": 3}
    assert [block.is_open for block in later.archive.blocks("acada", "*")] == [False]
    for _ in range(4):
        later.turn(2, seconds=61)
        later.archive.transfer()
    assert later.states() == {"replicated": 3}
    assert later.journal.lacking_since is None


def test_status_is_shown_while_the_storage_is_away(house: House) -> None:
    house.write(1)
    house.turn(3)
    house.root.rename(house.root.with_name("unmounted"))
    house.turn(3)
    assert house.report.snapshot["time"] == (BEGIN + dt.timedelta(seconds=house.clock.now_s - 1)).isoformat()
    assert house.report.snapshot["free_bytes"].keys() == {"state"}
    assert house.report.snapshot["inbox"]["errors"]


def test_settings_of_cross_checks_apply(house: House) -> None:
    (file,) = house.write(1)
    wrong = file.path.with_name(file.path.name.replace("CHUNK000", "CHUNK007"))
    assert wrong != file.path
    file.path.rename(wrong)
    file.trigger.unlink()
    wrong.with_name(wrong.name + ".trigger").touch()
    house.settings = attrs.evolve(house.settings, checks=Checks(warn=("chunk",)))
    house.turn(6)
    assert house.states() == {"registered": 1}
