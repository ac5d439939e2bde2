"""Install signal handlers for a while."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["signal_handlers"]


@contextmanager
def signal_handlers(calls: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Install signal handlers, and restore the previous ones at the end.

    Parameters
    ----------
    calls
        The handler of each signal. It interrupts the main thread, so it should only set a flag.
    """
    before = {number: signal.signal(number, lambda number, _: calls[signal.Signals(number)]()) for number in calls}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
