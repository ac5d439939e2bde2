"""From files to facts: scans in other processes, as many at once as there are workers."""

from __future__ import annotations

import logging
import queue
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.ingest.causes import Cause
from ctao_bdms.ingest.journal import Order, Stamp

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from concurrent.futures import Future

    from ctao_bdms.daemon.backoff import Backoff, Circuits, Ticket
    from ctao_bdms.daemon.metrics import Metrics
    from ctao_bdms.ingest.journal import Entry, Journal
    from ctao_bdms.ingest.workers import Scans
    from ctao_bdms.model import FileFacts

__all__ = ["Reading"]

_log = logging.getLogger(__name__)

#: Files handed out for each worker: one that is read, and the next ones, so that no worker waits for the loop.
_AHEAD = 4


@attrs.define(eq=False)
class _Running:
    """A scan that is under way."""

    entry: Entry
    stamp: Stamp | None
    future: Future[FileFacts]
    begin_s: float
    ticket: Ticket | None = None


class Reading:
    """Has files read that the journal says are due, and writes what they say into the journal.

    Parameters
    ----------
    journal
        The journal.
    scans
        What reads files.
    workers
        How many files it reads at once.
    algorithms
        Returns the digests that are to be made of a file.
    order
        Returns which files come first.
    circuits, backoff
        What works, and how long a single file waits that could not be read.
    wake
        Called in another thread when a scan has ended.
    metrics
        What is counted.
    now, monotonic, dice
        The clocks (aware; seconds), and random numbers from 0 to 1.
    """

    name: ClassVar[str] = "reading"
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.STORAGE, Cause.MACHINE, Cause.JOURNAL})

    def __init__(
        self,
        journal: Journal,
        scans: Scans,
        *,
        workers: int,
        algorithms: Callable[[Path], tuple[str, ...]],
        order: Callable[[], Order],
        circuits: Circuits,
        backoff: Callable[[], Backoff],
        wake: Callable[[], None],
        metrics: Metrics,
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
        dice: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._scans = scans
        self._limit = workers * _AHEAD
        self._algorithms = algorithms
        self._order = order
        self._circuits = circuits
        self._backoff = backoff
        self._wake = wake
        self._metrics = metrics
        self._now = now
        self._monotonic = monotonic
        self._dice = dice
        self._running: dict[Path, _Running] = {}
        self._ended: queue.SimpleQueue[_Running] = queue.SimpleQueue()
        self._done: list[_Running] = []

    @property
    def running(self) -> int:
        """How many files are being read, or will be next."""
        return len(self._running)
