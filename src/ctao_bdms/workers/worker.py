"""One worker, as the pool sees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import Future
from typing import Any

import attrs

from ctao_bdms.workers.wire import Inbound

__all__ = ["Job", "Worker"]


@attrs.define(eq=False, kw_only=True)
class Job:
    """One call, on its way from worker to worker until one of them answers.

    Attributes
    ----------
    message
        The call as it is sent.
    future
        Where the answer goes.
    limit_s
        How long a worker may take for it, in seconds.
    ends
        How the workers that had it before ended.
    """

    message: bytes
    future: Future[Any]
    limit_s: float | None
    ends: list[str] = attrs.Factory(list)


class Worker:
    """A process that takes one call at a time.

    Must be made by a thread that outlives it: the kernel kills the process when that thread ends.

    Parameters
    ----------
    memory_bytes
        The memory that it may use beyond what it needs to be there; 0: no limit.

    Attributes
    ----------
    job
        What it works at.
    ready
        Whether it has said that it can work.
    deadline_s
        When it is taken for dead, in seconds of the monotonic clock.
    """

    def __init__(self, memory_bytes: int) -> None:
        self.connection, other = socket.socketpair()
        try:
            with other:
                command = [sys.executable, "-P", "-m", "ctao_bdms.workers"]
                arguments = map(str, (other.fileno(), os.getpid(), memory_bytes))
                self._process = subprocess.Popen(
                    [*command, *arguments], stdin=subprocess.DEVNULL, pass_fds=(other.fileno(),)
                )
            self.handle = self._opened()
        except BaseException:
            self.connection.close()
            raise
        self.connection.setblocking(False)
        self.inbound = Inbound(self.connection)
        self.job: Job | None = None
        self.ready = False
        self.deadline_s = float("inf")

    def _opened(self) -> int:
        """Return a handle of the process, which ends if there can be none."""
        try:
            return os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def give(self, job: Job) -> bool:
        """Hand over a job; return False if the worker does not take it."""
        self.job = job
        try:
            return self.connection.send(job.message) == len(job.message)
        except (BlockingIOError, ConnectionError):
            return False

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """Let it end when it has nothing to do."""
        self.connection.close()

    def reap(self) -> str:
        """Take note of its end, which must have come, and say how it was."""
        code = self._process.wait()
        os.close(self.handle)
        if code >= 0:
            return f"ended by itself with exit code {code}"
        return f"was ended by {signal.Signals(-code).name}"
