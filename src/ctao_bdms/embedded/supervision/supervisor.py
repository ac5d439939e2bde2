"""The supervisor process of an embedded Rucio.

`ctao_bdms.embedded.start` starts it as ``python -m ctao_bdms.embedded.supervision.supervisor``, and sends the URL of
an external database to its standard input. It reports in lines of JSON on its standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ctao_bdms.embedded.home import Home
from ctao_bdms.embedded.state import State, StorageKind, redacted
from ctao_bdms.embedded.supervision.events import Events, Stopped
from ctao_bdms.embedded.supervision.leftovers import clean
from ctao_bdms.embedded.supervision.parts import Parts
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.embedded.supervision.reports import Reports
from ctao_bdms.errors import EmbeddedError, HomeInUseError
from ctao_bdms.proxies import spare_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["main"]

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def _claimed(home: Home) -> Iterator[int]:
    """Hold the lock of `home`; the system releases it when this process ends in any way.

    Yields
    ------
    int
        The file descriptor of the lock; a child must close it, or it would keep the lock.

    Raises
    ------
    HomeInUseError
        If another process holds the lock.
    """
    descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HomeInUseError(home.path, int(os.pread(descriptor, 32, 0) or 0)) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _environment(home: Home, *, own_database: bool) -> None:
    """Set the environment of Rucio, and remove variables that would change its configuration."""
    prefixes = ("RUCIO_", "PG") if own_database else ("RUCIO_",)
    for name in [name for name in os.environ if name.startswith(prefixes)]:
        del os.environ[name]
    os.environ["RUCIO_CONFIG"] = str(home.server_config)
    spare_loopback()
    os.environ["TZ"] = "UTC"  # Rucio mixes local time and UTC
    time.tzset()


def _supervise(
    home: Home, database_url: str | None, storage: StorageKind | None, events: Events, reports: Reports, lock: int
) -> None:
    """Run all parts until a stop signal."""
    clean(home, RunRecord.load(home.run_file))
    state = State.load(home.state_file) or State(database_url=database_url, storage=storage or "files")
    if database_url is not None and database_url != state.database_url:
        kept = "a database of its own" if state.database_url is None else redacted(state.database_url)
        msg = f"{home.path} uses {kept}, not {redacted(database_url)}; choose another --home"
        raise EmbeddedError(msg)
    if storage is not None and storage != state.storage:
        msg = (
            f"{home.path} keeps its files in storage of the kind {state.storage}, not {storage}; choose another --home"
        )
        raise EmbeddedError(msg)
    _environment(home, own_database=state.database_url is None)
    parts = Parts(home, state, events, reports, lock)
    try:
        parts.start()
        reports.ready()
        parts.watch()
    finally:
        parts.stop()


def main() -> int:
    """Supervise the home given on the command line.

    Returns
    -------
    int
        0 after a stop signal, 1 after a failure.
    """
    parser = argparse.ArgumentParser(description="Run the parts of an embedded Rucio.")
    parser.add_argument("--home", type=Path, required=True, help="the home folder")
    parser.add_argument("--owner", type=int, help="the parent process, with which this one ends")
    parser.add_argument("--storage", choices=get_args(StorageKind), help="the kind of storage elements")
    arguments = parser.parse_args()
    home = Home(arguments.home)
    database_url = sys.stdin.readline().strip() or None
    reports = Reports.on_stdout()
    if arguments.owner is None and os.fork() != 0:
        os._exit(0)  # the forked child has no parent, so it outlives the process that started it
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        events = Events(arguments.owner)
        with _claimed(home) as lock:
            _supervise(home, database_url, arguments.storage, events, reports, lock)
    except Stopped:
        _LOG.info("stopped")
        return 0
    except EmbeddedError as error:
        _LOG.error("%s", error)
        reports.error(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
