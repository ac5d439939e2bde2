"""Decide when to restart a part that has ended, and when to give up."""

from __future__ import annotations

import attrs

__all__ = ["Restarts"]


@attrs.define
class Restarts:
    """The restarts of one part: at once, then after increasing pauses, then no more.

    Parameters
    ----------
    limit
        The number of consecutive failures that are tolerated.
    settled_s
        The run time in seconds after which earlier failures are forgotten.
    longest_pause_s
        The longest pause, in seconds.

    Examples
    --------
    >>> restarts = Restarts(limit=2)
    >>> restarts.pause(lived_s=0.1), restarts.pause(lived_s=0.1), restarts.pause(lived_s=0.1)
    (0.0, 0.5, None)
    """

    limit: int = 8
    settled_s: float = 60.0
    longest_pause_s: float = 20.0
    _failures: int = attrs.field(default=0, init=False)

    def pause(self, lived_s: float) -> float | None:
        """Return the seconds to wait before the next start, or None to give up; the part ran for `lived_s` seconds."""
        if lived_s >= self.settled_s:
            self._failures = 0
        self._failures += 1
        if self._failures > self.limit:
            return None
        return 0.0 if self._failures == 1 else min(self.longest_pause_s, 0.25 * 2 ** (self._failures - 1))
