"""The events of a supervisor: the end of children, the end of its owner, and signals."""

from __future__ import annotations

import os
import select
import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Events", "Stopped"]


class Stopped(Exception):  # noqa: N818 (not an error)
    """A stop signal has arrived, or the owner has died."""


class Events:
    """Waits for stop signals, the end of the owner, and other file descriptors.

    Parameters
    ----------
    owner
        The process with which this one must end, its parent; None for none.
    """

    def __init__(self, owner: int | None) -> None:
        self._signals, write = socket.socketpair()
        write.setblocking(False)
        self._write = write  # kept open for the signal handler
        signal.set_wakeup_fd(write.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            # Without a handler, nothing is written to the wakeup descriptor.
            signal.signal(number, lambda _signum, _frame: None)
        self._owner = None if owner is None else _open(owner)

    def wait(self, handles: Iterable[int], timeout_s: float | None) -> list[int]:
        """Return those of `handles` that are ready, after at most `timeout_s` seconds.

        Raises
        ------
        Stopped
            After a stop signal, or when the owner has died.
        """
        ends = [self._signals.fileno(), *([] if self._owner is None else [self._owner])]
        ready, _, _ = select.select([*ends, *handles], [], [], timeout_s)
        if any(end in ready for end in ends):
            raise Stopped
        return ready


def _open(owner: int) -> int:
    """Return a process descriptor of the parent `owner`."""
    try:
        handle = os.pidfd_open(owner)
    except ProcessLookupError as error:
        raise Stopped from error
    if os.getppid() != owner:  # it died before the handle was opened, which may be that of another process
        raise Stopped
    return handle
