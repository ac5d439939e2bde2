"""What is shown of a daemon: where it is found, how rates are taken, what stands on the screen."""

from __future__ import annotations

import datetime as dt
import io
import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from ctao_bdms.cli.app import run
from ctao_bdms.cli.embedded.screen import line, screen, silent
from ctao_bdms.daemon.config.settings import Http
from ctao_bdms.daemon.face.http import StatusServer
from ctao_bdms.daemon.face.remote import RateMeter, fetch_status, read_address
from ctao_bdms.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = dt.datetime(2026, 11, 22, 1, 0, 5, tzinfo=dt.UTC)
BLOCK = "/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261122T005935-dadef318"
SAID: dict[str, Any] = {
    "time": "2026-11-22T01:00:04+00:00",
    "host": "north1",
    "pid": 42,
    "since": "2026-11-21T20:00:00+00:00",
    "lease": 7,
    "version": "0.1",
    "workers": 4,
    "files": {
        "found": {"files": 3, "size_bytes": 3_000_000},
        "replicated": {"files": 70_000, "size_bytes": 12_500_000_000_000},
    },
    "waiting": {"catalogue": 3},
    "outages": {"catalogue": 5},
    "next_probe_in_s": 12.4,
    "inbox": {"folders": 36, "triggers": 3, "waiting": {}, "errors": {"/data/x.trigger": "a link [to] nowhere"}},
    "reading": 2,
    "open_blocks": [{"block": BLOCK, "files": 60, "size_bytes": 12_856_320}],
    "oldest_waiting": "2026-11-22T00:48:00+00:00",
    "totals": {"registered_files_total": 100.0, "registered_bytes_total": 5e6, "workers_restarted_total": 1.0},
    "nights": {"2026-11-20": {"replicated": 70_000}, "2026-11-21": {"found": 3}},
    "journal_bytes": 5_000_000,
    "free_bytes": {"storage": 1_000_000, "state": 2_000_000_000},
    "low_on_space": ["storage"],
}


def drawn(shown: Any) -> str:  # noqa: ANN401 - whatever rich can print
    console = Console(file=io.StringIO(), width=124)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[StatusServer]:
    with StatusServer(
        lambda: Http(port=0),
        metrics=lambda: (b"", "text/plain"),
        heartbeat_age_s=lambda: 0.0,
        ready=dict,
        status=lambda: SAID,
        address_file=tmp_path / "address",
    ) as server:
        yield server


def test_the_screen_has_all_that_matters() -> None:
    text = drawn(screen(SAID, RateMeter().rates(0.0, SAID), NOW))
    for part in (
        "north1 process 42", "up 5 h 0 min", "lease 7", "1 replaced", "70,000", "12.5 TB",
        "catalogue: 5 failures in a row; next probe in 12 s", "3 for catalogue", BLOCK, "30 s",
        "the oldest file waits for 12 min 4 s", "/data/x.trigger: a link [to] nowhere", "storage: 1.0 MB free",
    ):  # fmt: skip
        assert part in text
    assert text.index("2026-11-21  ") < text.index("2026-11-20  ")
    assert "seen" not in text
    assert "seen 1 min 1 s ago" in drawn(screen(SAID, RateMeter().rates(0.0, SAID), NOW + dt.timedelta(minutes=1)))


def test_a_daemon_that_has_not_looked_yet_and_one_with_nothing_to_do() -> None:
    assert "has not looked yet" in drawn(screen({}, RateMeter().rates(0.0, {}), NOW))
    idle = {key: SAID[key] for key in ("time", "host", "pid", "since", "lease")}
    text = drawn(screen(idle, RateMeter().rates(0.0, idle), NOW))
    assert "nothing waits" in text
    assert "outages" not in text
    trigger = "/data/y.fits.fz.trigger"
    idle["inbox"] = {"waiting_triggers": 1200, "waiting": {trigger: "/data/y.fits.fz: No such file or directory"}}
    text = drawn(screen(idle, RateMeter().rates(0.0, idle), NOW))
    assert "1,200 triggers stand for nothing" in text
    assert "y.fits.fz.trigger: /data/y.fits.fz: No such file" in text
    assert "nothing waits" not in text


def test_silence_stands_above_what_was_said_last() -> None:
    text = drawn(silent("the daemon does not answer", 65.0, screen(SAID, RateMeter().rates(0.0, SAID), NOW)))
    assert text.startswith("the daemon does not answer; for 1 min 5 s")
    assert "north1" in text


def test_rates_over_the_last_seconds() -> None:
    meter = RateMeter()
    for second in range(31):
        files = 10.0 * second if second <= 10 else 100.0 + 2 * (second - 10)
        rates = meter.rates(second, {"pid": 1, "totals": {"registered_files_total": files}})
    assert rates.files_per_s["registered"] == pytest.approx(2.0)
    assert rates.bytes_per_s["scanned"] == 0.0


def test_rates_begin_anew_with_another_process() -> None:
    meter = RateMeter()
    assert meter.rates(0.0, SAID).files_per_s["registered"] is None
    meter.rates(1.0, SAID)
    again = SAID | {"pid": 43, "totals": {"registered_files_total": 1.0}}
    assert meter.rates(2.0, again).files_per_s["registered"] is None
    again = again | {"totals": {"registered_files_total": 4.0}}
    assert meter.rates(3.0, again).files_per_s["registered"] == pytest.approx(3.0)


def test_one_line() -> None:
    said = line(SAID, RateMeter().rates(0.0, SAID), NOW)
    expected = "3 found, 70000 replicated; catalogue fails; the oldest waits for 12 min 5 s"
    assert said == f"2026-11-22T01:00:05Z; {expected}"


def test_ask(daemon: StatusServer, tmp_path: Path) -> None:
    assert fetch_status(read_address(tmp_path / "address")) == SAID
    assert fetch_status(daemon.url + "/") == SAID


def test_nobody_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match=r"does not answer: .*refused"):
        fetch_status(f"http://127.0.0.1:{port}")
    with pytest.raises(UnreachableError, match="no daemon runs"):
        read_address(tmp_path / "none")
    with pytest.raises(UsageError, match="written as http"):
        fetch_status("file:///etc")


def test_status_of_a_daemon_alone(
    daemon: StatusServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BDMS_HOME", str(tmp_path / "no-rucio"))
    picture = tmp_path / "picture.svg"
    assert run(["status", "--ingestd", daemon.url, "--svg", str(picture)]) == 0
    assert "north1" in capsys.readouterr().out
    assert "<svg" in picture.read_text()
    assert "font-face" not in picture.read_text()
    monkeypatch.setenv("BDMS_INGESTD_STATE_FOLDER", str(tmp_path))
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ingestd": SAID}


def test_which_daemon(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BDMS_INGESTD_STATE_FOLDER", raising=False)
    assert run(["status", "--watch"]) == 2
    assert "no daemon given" in capsys.readouterr().err
    monkeypatch.setenv("BDMS_INGESTD_STATE_FOLDER", str(tmp_path))
    assert run(["status"]) == 3
    assert "no daemon runs" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_ends_well(daemon: StatusServer, number: signal.Signals) -> None:
    command = [sys.executable, "-c", "from ctao_bdms.cli import main; main()", "status", "--ingestd", daemon.url]
    with subprocess.Popen([*command, "--watch", "--interval", "0.1"], stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        first = watch.stdout.readline()
        assert "70000 replicated" in first
        watch.send_signal(number)
        assert watch.wait(20) == 0
