"""From the inbox into the journal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from ctao_bdms.ingest.causes import Cause
from ctao_bdms.ingest.triggers import data_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from pathlib import Path

    from ctao_bdms.daemon.metrics import Metrics
    from ctao_bdms.ingest.journal import Journal
    from ctao_bdms.ingest.sightings import Sighting
    from ctao_bdms.ingest.watch import Watch

__all__ = ["Intake"]

_log = logging.getLogger(__name__)


class Intake:
    """Looks into the inbox, and writes what is new into the journal.

    Parameters
    ----------
    watch
        The inbox.
    journal
        The journal.
    interval_s
        Returns the time between two looks, in seconds.
    metrics
        What is counted.
    monotonic
        The clock, in seconds.
    busy
        Returns the triggers of files that are being registered: what is new of those is written down when it is known
        what has become of them.
    """

    name: ClassVar[str] = "intake"
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.STORAGE, Cause.MACHINE, Cause.JOURNAL})

    def __init__(
        self,
        watch: Watch,
        journal: Journal,
        *,
        interval_s: Callable[[], float],
        metrics: Metrics,
        monotonic: Callable[[], float],
        busy: Callable[[], Container[Path]] = tuple,
    ) -> None:
        self.watch = watch
        self._journal = journal
        self._interval_s = interval_s
        self._metrics = metrics
        self._monotonic = monotonic
        self._busy = busy
        self._told: dict[Path, Sighting | None] = {}
        self._next_s = monotonic()

    def due_in_s(self) -> float:
        """Return the time until the next look."""
        return self._next_s - self._monotonic()

    def step(self, *, probe: bool) -> None:
        """Look once."""
        begin_s = self._monotonic()
        poll = self.watch.poll()
        self._metrics.polled(self._monotonic() - begin_s)
        # The last word on a trigger counts: one that went and came again has not gone.
        self._told.update(dict.fromkeys(poll.gone))
        self._told.update((seen.trigger, seen) for seen in poll.found if seen.trigger is not None)
        busy = self._busy()
        ready = {trigger: seen for trigger, seen in self._told.items() if trigger not in busy}
        observed = self._journal.observe(seen for seen in ready.values() if seen is not None)
        self._journal.withdrawn(data_of(trigger) for trigger, seen in ready.items() if seen is None)
        # The watch tells everything once; what the journal did not take is offered again.
        self._told = {trigger: seen for trigger, seen in self._told.items() if trigger in busy}
        if observed.new or observed.again:
            _log.info("%d new files, %d again", observed.new, observed.again)
        self._next_s = begin_s if poll.more else begin_s + self._interval_s()
