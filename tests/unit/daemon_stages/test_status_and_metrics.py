"""The daemon reports waiting files and an unreadable inbox."""

from __future__ import annotations

import datetime as dt
import json

import attrs
import pytest
from tests.house import BEGIN, House

from ctao_bdms.daemon.config.settings import Http
from ctao_bdms.daemon.service import Service
from ctao_bdms.journal import FileState


def metric(house: House, name: str, **labels: str) -> float | None:
    return house.metrics.registry.get_sample_value(f"bdms_ingestd_{name}", labels)


def test_waiting_file_is_counted_whatever_its_cause(house: House) -> None:
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
    assert metric(house, "waiting_files", cause="worker") == 1
    assert metric(house, "oldest_waiting_timestamp_seconds") == pytest.approx(triggered_s, abs=0.001)
    assert house.report.snapshot["oldest_waiting"]
    house.scans.raised.clear()
    house.turn(20)
    assert house.states() == {"registered": 1}
    assert metric(house, "waiting_files", cause="worker") == 0
    assert metric(house, "oldest_waiting_timestamp_seconds") == 0


def test_unreadable_inbox_is_reported(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    house.write(1)
    for number in range(30):
        (house.root / f"x{number}.fits.trigger").touch()
    house.turn(3)
    inbox = house.report.snapshot["inbox"]
    assert (inbox["waiting_triggers"], len(inbox["waiting"]), house.report.hidden_folders) == (30, 20, 0)
    assert metric(house, "inbox_waiting_triggers") == 30
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
    assert metric(house, "inbox_errors", kind="folder") == 1
    house.root.with_name("unmounted").rename(house.root)
    house.turn(3)
    assert house.report.hidden_folders == 0
    assert metric(house, "inbox_errors", kind="folder") == 0


def test_status_is_shown_while_the_storage_is_away(house: House) -> None:
    house.write(1)
    house.turn(3)
    house.root.rename(house.root.with_name("unmounted"))
    house.turn(3)
    assert house.report.snapshot["time"] == (BEGIN + dt.timedelta(seconds=house.clock.now_s - 1)).isoformat()
    assert house.report.snapshot["free_bytes"].keys() == {"state"}
    assert house.report.snapshot["inbox"]["errors"]
