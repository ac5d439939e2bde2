"""A child process of the supervisor: forked, tied to its parent's life, its output in a log."""

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
    """Return a target that becomes the program `command`."""
    return lambda: os.execvp(command[0], command)


def _enter(target: Callable[[], None], log: Path, parent: int, signum: signal.Signals, foreign: Iterable[int]) -> None:
    """Cut the ties to the supervisor that a fork leaves, then do the child's work."""
    signal.set_wakeup_fd(-1)
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
    """A running child.

    Attributes
    ----------
    name
        What it is called in messages and logs.
    identity
        The process.
    handle
        A file descriptor that is readable when the process has ended.
    log
        Where its output goes.
    stop_signal
        The signal that asks it to stop.
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
        """Fork a child that does `target`; the caller must have one thread only.

        Parameters
        ----------
        name
            What to call it.
        target
            The work.
        log
            The file for its output; a long one is put aside first.
        stop_signal
            The signal that asks it to stop; it gets the same when its parent dies.
        foreign
            File descriptors of the parent that it must not keep.
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
        if pid is None or identity is None:  # it is our unreaped child, so it is there
            msg = f"{name} could not be started"
            raise EmbeddedError(msg)
        return cls(name, identity, os.pidfd_open(pid), log, stop_signal, process)

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        try:
            signal.pidfd_send_signal(self.handle, signum)
        except ProcessLookupError:
            return

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for its end, in seconds; return True if it has ended."""
        return bool(select.select([self.handle], [], [], timeout_s)[0])

    def reap(self) -> int:
        """Take note of its end, which must have come; return its exit code (negative: the signal that ended it)."""
        self._process.join()
        os.close(self.handle)
        return self._process.exitcode or 0

    def stop(self, timeout_s: float) -> None:
        """Wait for its end after `stop_signal`, kill it if that takes too long, and reap it."""
        self.signal(self.stop_signal)
        if not self.wait(timeout_s):
            self.signal(signal.SIGKILL)
            self.wait(None)
        self.reap()

    def last_words(self) -> str:
        """Return the last lines of its log, for a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(line.strip() for line in lines[-_TAIL_LINES:]) or "it said nothing"
