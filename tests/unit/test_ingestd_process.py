"""The daemon as a process: signals, a second one, and nothing left; its archive never answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-c", "from ctao_bdms.cli import main; main()", "ingestd"]
LIMIT_S = 60.0
OPEN = ("found", "scanned")


class Daemon:
    """A daemon in a process of its own."""

    def __init__(self, config: Path, log: Path) -> None:
        self.log = log
        with log.open("w") as stream:
            self.process = subprocess.Popen([*COMMAND, "--config", str(config)], stderr=stream)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end_s, self.log.read_text()
            time.sleep(0.02)

    def says(self, words: str) -> Callable[[], bool]:
        return lambda: words in self.log.read_text()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings for a daemon whose server refuses connections."""
    (tmp_path / "onsite").mkdir()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    (tmp_path / "rucio.cfg").write_text(
        f"[client]\nrucio_host = http://127.0.0.1:{port}\nauth_host = http://127.0.0.1:{port}\n"
        "auth_type = userpass\nusername = u\npassword = p\naccount = ingest\nrequest_retries = 1\n"
    )
    path = tmp_path / "ingestd.toml"
    path.write_text(
        '[storage]\nroot = "onsite"\nrse = "CTAO-NORTH-ONSITE"\nsite = "CTAO-North"\n[rucio]\nconfig = "rucio.cfg"\n'
        '[state]\nfolder = "state"\n[http]\nport = 0\n[log]\nform = "json"\n[workers]\nnumber = 1\n'
        "[stop]\ndrain_s = 2\n"
    )
    return path


@pytest.fixture
def daemon(config: Path) -> Iterator[Daemon]:
    daemon = Daemon(config, config.with_name("log"))
    daemon.wait_for(daemon.says("working: inbox"))
    yield daemon
    daemon.process.kill()
    daemon.process.wait()


def status(config: Path) -> dict[str, Any]:
    address = (config.parent / "state" / "address").read_text().strip()
    with urllib.request.urlopen(f"{address}/status", timeout=10) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def test_a_second_daemon_is_refused_and_sigterm_leaves_nothing(config: Path, daemon: Daemon) -> None:
    bad = config.parent / "onsite" / "ctao" / "x.fits.fz"
    bad.parent.mkdir()
    bad.write_bytes(b"x")
    bad.with_name("x.fits.fz.trigger").touch()
    daemon.wait_for(lambda: sum(status(config).get("files", {}).get(state, {}).get("files", 0) for state in OPEN) == 1)
    daemon.wait_for(lambda: status(config)["outages"].keys() == {"catalogue"})
    second = subprocess.run(
        [*COMMAND, "--config", str(config), "--set=state.folder=" + str(config.parent / "other")],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert second.returncode == 1
    assert f"process {daemon.process.pid}" in second.stderr
    assert socket.gethostname() in second.stderr
    assert "Traceback" not in second.stderr
    begin_s = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(LIMIT_S) == 0
    assert time.monotonic() - begin_s < 20
    assert "Traceback" not in daemon.log.read_text()
    assert not (config.parent / "state" / "address").exists()
    assert bad.exists()


def test_a_daemon_that_cannot_write_its_journal_yet_waits_and_then_works(config: Path) -> None:
    state = config.parent / "state"
    state.mkdir()
    with closing(sqlite3.connect(state / "journal.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN EXCLUSIVE")
        daemon = Daemon(config, config.with_name("log"))
        try:
            daemon.wait_for(daemon.says("not started yet, waits for the journal"))
            other.execute("ROLLBACK")
            daemon.wait_for(daemon.says("working: inbox"))
            daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(LIMIT_S) == 0
        finally:
            daemon.process.kill()
            daemon.process.wait()


@pytest.mark.parametrize("how", ["removed", "replaced", "folder moved"])
def test_daemon_whose_journal_is_removed_or_replaced_ends_and_says_so(config: Path, daemon: Daemon, how: str) -> None:
    journal = config.parent / "state" / "journal.sqlite"
    if how == "removed":
        for path in journal.parent.glob("journal.sqlite*"):
            path.unlink()
    elif how == "replaced":
        copy = journal.with_name("backup")
        copy.write_bytes(journal.read_bytes())
        copy.rename(journal)
    else:
        journal.parent.rename(config.parent / "elsewhere")
        journal.parent.mkdir()
    assert daemon.process.wait(LIMIT_S) == 1
    said = daemon.log.read_text()
    assert f"the journal {journal} was removed or replaced" in said
    assert "Traceback" not in said
    again = Daemon(config, config.with_name("again"))
    try:
        again.wait_for(again.says("working: inbox"))
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(LIMIT_S) == 0
    finally:
        again.process.kill()
        again.process.wait()


def test_sighup_has_the_settings_read_anew(config: Path, daemon: Daemon) -> None:
    text = config.read_text()
    config.write_text(text.replace('form = "json"', 'form = "text"').replace("number = 1", "number = 2"))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(daemon.says("settings taken over"))
    assert "these settings need a restart: workers.number" in daemon.log.read_text()
    last = next(line for line in daemon.log.read_text().splitlines() if "settings taken over" in line)
    assert not last.startswith("{"), "the form of the log was taken over"
    config.write_text(text + "nonsense = 1\n")
    os.kill(daemon.process.pid, signal.SIGHUP)
    daemon.wait_for(daemon.says("the settings stay as they are"))
    assert daemon.process.poll() is None
