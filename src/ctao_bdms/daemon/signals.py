"""What a process does when it gets a signal, for a while."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["signal_handlers"]


@contextmanager
def signal_handlers(calls: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Have signals call something; afterwards they do what they did before.

    Parameters
    ----------
    calls
        What each signal calls, in the main thread, between two of its steps: it should only set something.
    """
    before = {number: signal.signal(number, lambda number, _: calls[signal.Signals(number)]()) for number in calls}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
