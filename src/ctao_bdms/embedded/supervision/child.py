"""A child process of the supervisor: forked, ends with its parent, and writes its output to a log."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import EmbeddedError
from ctao_bdms.processes import ProcessId, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Child", "program"]

_LONG_LOG = 10_000_000  # bytes
_TAIL_LINES = 3


def program(command: list[str]) -> Callable[[], None]:
    """Return a target that replaces the process by the program `command`."""
    return lambda: os.execvp(command[0], command)


def _enter(target: Callable[[], None], log: Path, parent: int, signum: signal.Signals, foreign: Iterable[int]) -> None:
    """Detach the forked process from the supervisor's resources, then run the target."""
    signal.set_wakeup_fd(-1)  # the child shares this descriptor: its signals would wake the supervisor
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    die_with_parent(signum, parent)
    for descriptor in foreign:
        os.close(descriptor)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    target()


@attrs.frozen
class Child:
    """A running child process.

    Attributes
    ----------
    name
        Its name in messages and logs.
    handle
        A file descriptor that is readable when the process has ended.
    log
        The file of its output.
    stop_signal
        The signal that stops it.
    """

    name: str
    identity: ProcessId
    handle: int
    log: Path
    stop_signal: signal.Signals
    _process: ForkProcess

    @classmethod
    def start(
        cls,
        name: str,
        target: Callable[[], None],
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        foreign: Iterable[int] = (),
    ) -> Child:
        """Fork a child that runs `target`; the caller must have only one thread.

        Parameters
        ----------
        name
            Its name in messages and logs.
        log
            The file of its output; a long one is moved aside first.
        stop_signal
            The signal that stops it; it also gets this signal when its parent dies.
        foreign
            File descriptors of the parent that the child closes.
        """
        if log.exists() and log.stat().st_size > _LONG_LOG:
            log.replace(log.with_suffix(".log.1"))
        context = multiprocessing.get_context("fork")
        process = context.Process(
            target=_enter, args=(target, log, os.getpid(), stop_signal, tuple(foreign)), name=name
        )
        process.start()
        pid = process.pid
        identity = None if pid is None else ProcessId.of(pid)
        if pid is None or identity is None:  # cannot happen: a child exists until it is reaped
            msg = f"{name} could not be started"
            raise EmbeddedError(msg)
        return cls(name, identity, os.pidfd_open(pid), log, stop_signal, process)

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal, unless the child has ended."""
        try:
            signal.pidfd_send_signal(self.handle, signum)
        except ProcessLookupError:
            return

    def wait(self, timeout_s: float | None) -> bool:
        """Wait at most `timeout_s` seconds for its end; return True if it has ended."""
        return bool(select.select([self.handle], [], [], timeout_s)[0])

    def reap(self) -> int:
        """Reap the child, which must have ended; return its exit code (negative: the signal that ended it)."""
        self._process.join()
        os.close(self.handle)
        return self._process.exitcode or 0

    def stop(self, timeout_s: float) -> None:
        """Wait for its end after `stop_signal`, kill it after the timeout, and reap it."""
        self.signal(self.stop_signal)
        if not self.wait(timeout_s):
            self.signal(signal.SIGKILL)
            self.wait(None)
        self.reap()

    def last_words(self) -> str:
        """Return the last lines of its log, for a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(line.strip() for line in lines[-_TAIL_LINES:]) or "its log is empty"
