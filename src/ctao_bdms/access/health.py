"""Recent failures of storage elements, as seen by this process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Health"]


class Health:
    """Counts failures in a row by storage element; they are forgotten with the first success, and after a while.

    Parameters
    ----------
    limit
        After how many failures in a row an element counts as failing.
    memory_s
        After how many seconds without another failure it does no more.
    clock
        A clock that never goes back, in seconds.

    Examples
    --------
    >>> health = Health(limit=1)
    >>> health.failed("PIC-DISK")
    >>> health.is_failing("PIC-DISK"), health.failures("CSCS-DISK")
    (True, 0)
    """

    def __init__(self, *, limit: int = 3, memory_s: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._memory_s, self._clock = limit, memory_s, clock
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def failed(self, rse: str) -> None:
        """Count a failure of `rse`."""
        with self._lock:
            self._failures[rse] = (self._count(rse) + 1, self._clock())

    def worked(self, rse: str) -> None:
        """Note a success of `rse`."""
        with self._lock:
            self._failures.pop(rse, None)

    def failures(self, rse: str) -> int:
        """Return the number of failures of `rse` in a row."""
        with self._lock:
            return self._count(rse)

    def is_failing(self, rse: str) -> bool:
        """Return whether `rse` has failed so often that others come first."""
        return self.failures(rse) >= self._limit

    def _count(self, rse: str) -> int:
        count, when = self._failures.get(rse, (0, 0.0))
        return count if self._clock() - when < self._memory_s else 0
