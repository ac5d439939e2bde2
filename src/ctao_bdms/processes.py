"""Processes by their identity: number and time of start, never by name. Values that each process makes for itself."""

from __future__ import annotations

import ctypes
import getpass
import os
import select
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PerProcess", "ProcessId", "die_with_parent", "end", "person", "process_name", "this_process"]

_T = TypeVar("_T")

_PR_SET_PDEATHSIG = 1
_STATE, _START_TIME = 0, 19  # fields of /proc/<pid>/stat after the command's name

_this_process = object()


def _forked() -> None:
    global _this_process
    _this_process = object()


os.register_at_fork(after_in_child=_forked)


def this_process() -> object:
    """Return what stands for this process: the same object at each call, and another one in the child of a fork.

    A process number does not: the child of a child can get the number of a process that has ended.
    """
    return _this_process


class PerProcess(Generic[_T]):
    """A value that each process makes for itself, when it first needs it: neither a fork nor a pickle carries it along.

    Connections, tokens and locks must not be shared by processes. Of two threads that need the value first at the same
    moment each may make one; the last one stays.

    Parameters
    ----------
    make
        Makes the value. To pickle this object, it must be a function that can be pickled.

    Examples
    --------
    >>> words = PerProcess(list)
    >>> words.get().append("one")
    >>> words.get()
    ['one']
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: tuple[object, _T] | None = None

    def get(self) -> _T:
        """Return the value of this process."""
        made = self._made
        if made is None or made[0] is not _this_process:
            made = self._made = (_this_process, self._make())
        return made[1]

    def set(self, value: _T) -> None:
        """Replace the value of this process."""
        self._made = (_this_process, value)

    def __reduce__(self) -> tuple[type[PerProcess[_T]], tuple[Callable[[], _T]]]:
        return PerProcess, (self._make,)


def die_with_parent(signum: signal.Signals, parent: int) -> None:
    """Have the kernel send `signum` to this process when `parent`, which made it, has died.

    Parameters
    ----------
    parent
        The process that must still be the parent; if it has died in between, this process ends at once.

    Raises
    ------
    OSError
        If the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if os.getppid() != parent:
        os._exit(1)


def person() -> str:
    """Return who runs this process, and where; a user without a name by the number, as in ``uid-54321@host``."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # containers and batch systems run with user ids that nobody has named
        name = f"uid-{os.getuid()}"
    return f"{name}@{socket.gethostname()}".encode("utf-8", "backslashreplace").decode()


def process_name(name: str) -> str:
    """Return which process runs a program, and where, as in ``ingestd 4711@host``."""
    return f"{name} {os.getpid()}@{socket.gethostname()}"


def _stat(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/<pid>/stat`` after the name; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


@attrs.frozen
class ProcessId:
    """One process, also after its number has been given to another.

    Attributes
    ----------
    started
        The time of its start, in clock ticks since the machine started.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the process that has the number `pid` now; None if there is none."""
        fields = _stat(pid)
        return None if fields is None else cls(pid, int(fields[_START_TIME]))

    @classmethod
    def current(cls) -> ProcessId:
        """Return the process that asks."""
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return cls(os.getpid(), int(fields[_START_TIME]))

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[_START_TIME]) == self.started and fields[_STATE] not in "ZX"

    def open(self) -> int | None:
        """Return a handle of the process for signals and waiting; None if it has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive:
            return handle
        os.close(handle)
        return None


def end(process: ProcessId, signum: signal.Signals, timeout_s: float) -> bool:
    """Send `signum` to `process` and wait for its end; kill it if it does not come.

    Parameters
    ----------
    process
        The process; nothing happens if it has ended already.
    signum
        The signal that asks it to stop.
    timeout_s
        How long to wait for it, in seconds.

    Returns
    -------
    bool
        True if it ended of its own accord.
    """
    handle = process.open()
    if handle is None:
        return True
    try:
        signal.pidfd_send_signal(handle, signum)
        if select.select([handle], [], [], timeout_s)[0]:
            return True
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], timeout_s)
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)
    return False
