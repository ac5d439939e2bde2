"""Start and stop an embedded Rucio."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Self, get_args

from ctao_bdms.embedded.checks import check_installation
from ctao_bdms.embedded.home import Home
from ctao_bdms.embedded.state import State, StorageKind, parse_database_url
from ctao_bdms.embedded.supervision.leftovers import clean
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.embedded.supervision.reports import follow
from ctao_bdms.embedded.topology import INGEST, RSES
from ctao_bdms.errors import EmbeddedError, NotRunningError, UsageError
from ctao_bdms.processes import end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

__all__ = ["Instance", "run", "start", "stop"]

_STOP_S = 60.0


class Instance:
    """A running embedded Rucio, created by `start`; as a context manager it stops at the end of the block.

    Attributes
    ----------
    server_url
        The URL of its REST server.
    rses
        The names of its storage elements.
    """

    def __init__(self, home: Home, state: State, process: subprocess.Popen[str] | None) -> None:
        self.home = home
        self.server_url = state.server_url
        self.rses = tuple(RSES)
        self._process = process

    def client_config(self, account: str = INGEST) -> Path:
        """Return the ``rucio.cfg`` of the client of `account`.

        Raises
        ------
        UsageError
            If there is no such account.
        """
        return self.home.client_config(account)

    def storage(self, rse: str) -> Path:
        """Return the folder of the files of `rse`."""
        return self.home.storage(rse)

    def wait(self) -> None:
        """Wait until it ends by itself, and raise.

        Raises
        ------
        EmbeddedError
            When it ends; its log says why.
        """
        if self._process is not None and self._process.wait() != 0:
            msg = f"the embedded Rucio in {self.home.path} has ended; see {self.home.log / 'supervisor.log'}"
            raise EmbeddedError(msg)

    def stop(self) -> None:
        """Stop it if it runs, and wait until all its processes have ended."""
        record = RunRecord.load(self.home.run_file)
        if self._process is not None:
            if record is not None and record.supervisor.pid != self._process.pid:
                record = None  # ours has ended, and another process has started the home
            self._process.terminate()
            _wait_for(self._process)
        if record is not None:
            _stop(self.home, record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Instance({str(self.home.path)!r}, {self.server_url!r})"


def _wait_for(process: subprocess.Popen[str]) -> None:
    """Wait for a child that got a stop signal, and kill it after a timeout."""
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start(
    home: str | Path,
    *,
    database_url: str | None = None,
    storage: StorageKind | None = None,
    detach: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> Instance:
    """Start an embedded Rucio and wait until it answers.

    Parameters
    ----------
    home
        The folder of all its state; created at the first start, and reused later.
    database_url
        A PostgreSQL to use instead of its own, e.g. ``postgresql://user@host/name``; kept for later starts.
    storage
        The kind of storage elements: folders (``files``, the default), or servers of the distribution's XRootD
        (``xrootd``); kept for later starts.
    detach
        True to let it run after this process; otherwise it stops when this process ends, even by a kill.
    on_step
        Called with a short text at the beginning of each step.

    Raises
    ------
    HomeInUseError
        If one runs in `home` already.
    MissingExtraError
        If the software is not installed.
    UsageError
        If `database_url` is not the URL of a PostgreSQL, or `storage` does not exist.
    EmbeddedError
        If a part does not start.
    """
    url = "" if database_url is None else parse_database_url(database_url)
    if storage is not None and storage not in get_args(StorageKind):
        msg = f"unknown storage {storage!r}; known are {' and '.join(get_args(StorageKind))}"
        raise UsageError(msg)
    check_installation()
    place = Home(home)
    place.prepare()
    log = place.log / "supervisor.log"
    process = _launch(place, log, storage, detach=detach)
    _wait_until_ready(process, place, log, url, on_step or (lambda _step: None))
    if detach:
        process.wait()
    state = State.load(place.state_file)
    if state is None:
        msg = f"the state file of {place.path} is missing; choose another --home"
        raise EmbeddedError(msg)
    return Instance(place, state, None if detach else process)


def _launch(home: Home, log: Path, storage: StorageKind | None, *, detach: bool) -> subprocess.Popen[str]:
    """Launch the supervisor, which ends with this process unless it is to be detached."""
    command = [sys.executable, "-m", "ctao_bdms.embedded.supervision.supervisor", "--home", str(home.path)]
    if storage is not None:
        command += ["--storage", storage]
    if not detach:
        command += ["--owner", str(os.getpid())]
    with log.open("a", encoding="utf-8") as errors:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            cwd="/",
        )


def _wait_until_ready(
    process: subprocess.Popen[str], home: Home, log: Path, url: str, on_step: Callable[[str], None]
) -> None:
    """Wait until the supervisor reports that the Rucio answers; end it if that fails."""
    reports = process.stdout
    try:
        _tell(process, url)
        if reports is not None:
            with reports:
                follow(reports, home.path, log, on_step)
    except BaseException:
        process.terminate()
        _wait_for(process)
        raise


def _tell(process: subprocess.Popen[str], url: str) -> None:
    """Send the database URL to the supervisor's standard input: a command line would show its password."""
    if process.stdin is not None:
        try:
            with process.stdin as stream:
                stream.write(f"{url}\n")
        except BrokenPipeError:
            return  # it has ended; `follow` reports why


def stop(home: str | Path) -> None:
    """Stop the embedded Rucio in `home`, and wait until all its processes have ended.

    Raises
    ------
    NotRunningError
        If no embedded Rucio runs there.
    EmbeddedError
        If a process does not end.
    """
    place = Home(home)
    record = RunRecord.load(place.run_file)
    if record is None or not any(process.alive for process in (record.supervisor, *record.parts.values())):
        raise NotRunningError(place.path)
    _stop(place, record)


def _stop(home: Home, record: RunRecord) -> None:
    """Stop a supervisor, and all processes that it leaves."""
    end(record.supervisor, signal.SIGTERM, _STOP_S)
    clean(home, record)


def run(
    home: str | Path,
    *,
    database_url: str | None = None,
    storage: StorageKind | None = None,
    on_step: Callable[[str], None] | None = None,
    on_ready: Callable[[Instance], None] = lambda _: None,
) -> None:
    """Run an embedded Rucio until this process gets SIGINT or SIGTERM; must be called in the main thread.

    Parameters
    ----------
    home, database_url, storage, on_step
        As for `start`.
    on_ready
        Called with the running Rucio once it answers.

    Raises
    ------
    EmbeddedError
        As `start`; also if it ends by itself.
    """

    def interrupt(_signum: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with start(home, database_url=database_url, storage=storage, on_step=on_step) as instance:
            on_ready(instance)
            instance.wait()
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
