"""The clocks of the daemon; tests set them by hand."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

import attrs

__all__ = ["Clocks"]


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@attrs.frozen(kw_only=True)
class Clocks:
    """The wall clock, the monotonic clock, and sleep.

    Attributes
    ----------
    now
        Returns the wall clock time in UTC. It may be stepped: use it for records, never for intervals.
    monotonic
        Returns seconds that only grow: use it for intervals.
    """

    now: Callable[[], dt.datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
