"""The start of the daemon waits for transient errors only."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.daemon.backoff import Backoff
from ctao_bdms.daemon.starting import retry_at_start
from ctao_bdms.errors import JournalUnavailableError, LeaseHeldError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _failing(*errors: Exception) -> Callable[[], str]:
    """Return what raises each of the errors once, and is done then."""
    left = list(errors)

    def make() -> str:
        if left:
            raise left.pop(0)
        return "made"

    return make


def _never(seconds: float) -> None:
    pytest.fail(f"waits {seconds} s")


def test_start_waits_with_backoff_for_transient_errors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pauses_s: list[float] = []
    read_only = OSError(errno.EROFS, "Read-only file system", str(tmp_path))
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path))
    locked = JournalUnavailableError(tmp_path, "database is locked")
    caplog.set_level(logging.INFO)
    made = retry_at_start(
        _failing(read_only, full, locked, OSError(errno.EMFILE, "Too many open files")),
        backoff=Backoff(first_s=1.0, cap_s=4.0),
        jitter=lambda: 1.0,
        pause=pauses_s.append,
    )
    assert made == "made"
    assert pauses_s == [1.0, 2.0, 4.0, 4.0]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "INFO", "INFO"]
    assert "waits for the storage" in caplog.text
    assert "waits for the journal" in caplog.text
    assert "waits for the machine" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        FileExistsError(errno.EEXIST, "File exists"),
        OSError(errno.EADDRINUSE, "Address already in use"),
    ],
)
def test_permanent_error_ends_the_start(error: OSError) -> None:
    with pytest.raises(OSError, match=error.strerror or "") as raised:
        retry_at_start(_failing(error), backoff=Backoff(), jitter=lambda: 0.5, pause=_never)
    assert raised.value is error


def test_a_second_daemon_does_not_wait_for_the_first(tmp_path: Path) -> None:
    with pytest.raises(LeaseHeldError):
        retry_at_start(
            _failing(LeaseHeldError(tmp_path, "lapalma", 4711, 60.0)),
            backoff=Backoff(),
            jitter=lambda: 0.5,
            pause=_never,
        )
