"""A worker process and its calls, for the pool."""

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
    """One call, which passes from worker to worker until one of them answers.

    Attributes
    ----------
    message
        The serialised call.
    limit_s
        The time limit in each worker, in seconds.
    ends
        How the previous workers of this call ended.
    """

    message: bytes
    future: Future[Any]
    limit_s: float | None
    ends: list[str] = attrs.Factory(list)


class Worker:
    """A process that runs one call at a time.

    The thread that creates it must outlive it: the kernel kills the process when that thread ends.

    Parameters
    ----------
    memory_bytes
        The memory limit beyond its use at the start; 0 for no limit.

    Attributes
    ----------
    ready
        Whether it has finished its start.
    deadline_s
        The time at which it is killed, in seconds of the monotonic clock.
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
        """Return a pidfd of the process; kill the process if this fails."""
        try:
            return os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def give(self, job: Job) -> bool:
        """Send a call; return False if the worker does not accept it."""
        self.job = job
        try:
            return self.connection.send(job.message) == len(job.message)
        except (BlockingIOError, ConnectionError):
            return False

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()

    def close(self) -> None:
        """Close the socket, so that the process ends when it is idle."""
        self.connection.close()

    def reap(self) -> str:
        """Wait for the process, which must have ended, and return how it ended."""
        code = self._process.wait()
        os.close(self.handle)
        if code >= 0:
            return f"ended by itself with exit code {code}"
        return f"was ended by {signal.Signals(-code).name}"
