"""Bad files go to quarantine; operators' commands act beside the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.daemon.config.settings import Checks
from ctao_bdms.daemon.stages.register import REFUSED
from ctao_bdms.errors import (
    UnreachableError,
    UsageError,
)
from ctao_bdms.ingest import Status
from ctao_bdms.journal import FileState
from ctao_bdms.quarantine import OperatorAction, Quarantine, restore
from ctao_bdms.testing.damage import Damage, damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from tests.house import House

    from ctao_bdms.model import ArchivedFile, Lfn


def test_bad_files_are_quarantined_and_the_others_registered(house: House) -> None:
    files = house.write(3)
    damage(files[0].path, Damage.TRUNCATED)
    strange = files[1].path.with_name("no name at all.fits.fz")
    strange.write_bytes(b"x")
    strange.with_name(strange.name + ".trigger").touch()
    house.turn(8)
    assert house.states() == {"registered": 2, "quarantined": 2}
    assert len(Quarantine(house.settings.quarantine).cases()) == 2
    assert house.scan.nameless == {}


def quarantine_one(house: House) -> Path:
    """Quarantine a file whose name and content give different chunks; return its path in the inbox."""
    (file,) = house.write(1)
    wrong = file.path.with_name(file.path.name.replace("CHUNK000", "CHUNK007"))
    file.path.rename(wrong)
    file.trigger.unlink()
    wrong.with_name(wrong.name + ".trigger").touch()
    house.turn(6)
    assert house.states() == {"quarantined": 1}
    return wrong


def test_restored_file_is_ingested_at_once(house: House) -> None:
    path = quarantine_one(house)
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
    """The daemon turns between the scan of the file and its registration by the command."""
    path = quarantine_one(house)
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


def test_retry_during_an_outage_can_be_repeated(house: House) -> None:
    path = quarantine_one(house)
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
    path = quarantine_one(first)
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


def test_unreadable_log_of_actions_stops_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    (house.settings.quarantine / "events.jsonl").mkdir(parents=True)
    house.write(1)
    house.turn(6)
    assert house.states() == {"registered": 1}
    assert caplog.text.count("stays unknown") == 1


def test_command_refuses_a_file_whose_trigger_exists(house: House) -> None:
    path = quarantine_one(house)
    path.with_name(path.name + ".trigger").touch()
    with pytest.raises(UsageError, match="stands: a daemon may take"):
        house.bdms.quarantine.accept(house.case, "the only one")
    assert not path.exists()


def test_only_bad_files_wait_for_an_unwritable_quarantine(house: House) -> None:
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
