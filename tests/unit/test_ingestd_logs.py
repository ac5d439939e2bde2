"""Log lines of the daemon, and its notifications to systemd."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.daemon.config.settings import Log, LogForm, LogLevel
from ctao_bdms.daemon.face.logs import configure, log_context
from ctao_bdms.daemon.face.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG = logging.getLogger("ctao_bdms.daemon.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[Any]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_log_line_has_its_context(stream: io.StringIO) -> None:
    configure(Log(), stream)
    LOG.info("begun")
    with log_context(file_id=17, lfn="/ctao/acada/x", night="2026-11-21"):
        LOG.info("scanned %d bytes", 5)
        with log_context(block="acada:b1", night=None):
            LOG.warning("line\nbreak é", extra={"lfn": "/ctao/acada/y"})
        LOG.debug("not shown")
    LOG.error("ended")
    begun, scanned, broken, ended = lines(stream)
    assert begun["message"] == "begun"
    assert begun["host"] == socket.gethostname()
    assert begun["pid"] == os.getpid()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", begun["time"])
    assert list(begun) == ["time", "level", "logger", "message", "host", "pid"]
    assert scanned["message"] == "scanned 5 bytes"
    assert {key: scanned[key] for key in ("file_id", "lfn", "night")} == {
        "file_id": "17", "lfn": "/ctao/acada/x", "night": "2026-11-21",
    }  # fmt: skip
    assert "block" not in scanned
    assert (broken["message"], broken["level"], broken["logger"]) == ("line\nbreak é", "WARNING", LOG.name)
    assert (broken["lfn"], broken["block"], broken["file_id"]) == ("/ctao/acada/y", "acada:b1", "17")
    assert "night" not in broken
    assert list(ended) == list(begun)


def test_an_exception_is_text_on_the_same_line(stream: io.StringIO) -> None:
    configure(Log(), stream)
    try:
        raise ValueError("broken")
    except ValueError:
        LOG.exception("failed")
    (line,) = lines(stream)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: broken")


def test_text_for_terminals(stream: io.StringIO) -> None:
    configure(Log(form=LogForm.TEXT), stream)
    with log_context(lfn="/ctao/acada/x"):
        LOG.info("registered")
    try:
        raise ValueError("broken")
    except ValueError:
        LOG.exception("failed")
    first, second, *rest = stream.getvalue().splitlines()
    assert re.fullmatch(r"\S+Z INFO    registered lfn=/ctao/acada/x \(ctao_bdms\.daemon\.test\)", first)
    assert " ERROR   failed (" in second
    assert rest[-1] == "ValueError: broken"


def test_form_and_level_change_while_it_runs(stream: io.StringIO) -> None:
    configure(Log(form=LogForm.TEXT, level=LogLevel.ERROR), stream)
    LOG.info("one")
    configure(Log(form=LogForm.JSON, level=LogLevel.DEBUG), stream)
    LOG.debug("two")
    assert [line["message"] for line in lines(stream)] == ["two"]


def test_threads_have_separate_log_contexts(stream: io.StringIO) -> None:
    configure(Log(), stream)
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        with log_context(file_id=number):
            barrier.wait()
            LOG.info("%d", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((line["message"], line["file_id"]) for line in lines(stream)) == [(str(n), str(n)) for n in range(4)]


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_receives_notifications(tmp_path: Path, abstract: bool) -> None:
    address = f"@bdms-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0"))
        listener.settimeout(5)
        notifier = Notifier(address)
        notifier.waiting("for the lease", 6.0)
        notifier.ready()
        notifier.alive("3 files\nwait")
        notifier.stopping()
        said = [listener.recv(1000) for _ in range(4)]
    assert said[0] == b"EXTEND_TIMEOUT_USEC=66000000\nSTATUS=for the lease"
    assert said[1:] == [b"READY=1", b"WATCHDOG=1\nSTATUS=3 files wait", b"STOPPING=1"]


def test_nobody_listens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier().ready()
    assert caplog.text == ""
    Notifier(str(tmp_path / "gone")).ready()
    assert "systemd does not listen" in caplog.text
