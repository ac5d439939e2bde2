"""When to start a part again that has ended, and when to give up."""

from __future__ import annotations

import attrs

__all__ = ["Restarts"]


@attrs.define
class Restarts:
    """The restarts of one part: at once, then after ever longer pauses, then no more.

    Parameters
    ----------
    limit
        How many failures in a row are forgiven.
    settled_s
        After how long a life, in seconds, the earlier failures are forgotten.
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
        """Return the seconds to wait before the next start, or None to give up.

        Parameters
        ----------
        lived_s
            How long the part lived, in seconds.
        """
        if lived_s >= self.settled_s:
            self._failures = 0
        self._failures += 1
        if self._failures > self.limit:
            return None
        return 0.0 if self._failures == 1 else min(self.longest_pause_s, 0.25 * 2 ** (self._failures - 1))
