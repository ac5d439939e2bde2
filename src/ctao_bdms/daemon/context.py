"""The context that the stages and the loop share."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.daemon.backoff import Backoff
from ctao_bdms.daemon.clocks import Clocks
from ctao_bdms.daemon.config import Settings
from ctao_bdms.daemon.face import Metrics
from ctao_bdms.journal import Journal, Waiting

if TYPE_CHECKING:
    from ctao_bdms.journal import Entry

__all__ = ["StageContext"]


@attrs.frozen(kw_only=True)
class StageContext:
    """The context that the stages and the loop share.

    Attributes
    ----------
    settings
        Returns the current settings; a reload replaces those that can change while the daemon runs.
    jitter
        Returns a random number from 0 to 1, which spreads retries.
    wake
        Any thread sets it when a stage has work; it ends the sleep of the loop.
    """

    settings: Callable[[], Settings]
    journal: Journal
    metrics: Metrics
    clocks: Clocks
    jitter: Callable[[], float]
    wake: threading.Event = attrs.field(factory=threading.Event)

    def backoff(self) -> Backoff:
        """Return the backoff of the current settings."""
        return Backoff.of(self.settings().retries)

    def retry_later(self, entry: Entry, cause: str, why: str) -> Waiting:
        """Return a retry of one file, with a backoff that grows with its attempts."""
        delay_s = self.backoff().delay_s(entry.attempts + 1, self.jitter())
        next_try = self.clocks.now() + dt.timedelta(seconds=delay_s)
        return Waiting(path=entry.path, cause=cause, why=why, next_try=next_try)
