"""Scan files in worker processes, and write their facts into the journal."""

from __future__ import annotations

import logging
import queue
from concurrent.futures import CancelledError, Future
from itertools import starmap
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.causes import Cause, cause_of, cause_of_defects, is_unforeseen
from ctao_bdms.daemon.backoff import Circuits, Ticket
from ctao_bdms.daemon.face import log_context
from ctao_bdms.daemon.stages.description import algorithms_of
from ctao_bdms.daemon.stages.isolation import isolate_failures
from ctao_bdms.inbox import Stamp
from ctao_bdms.inbox.sightings import priority_in
from ctao_bdms.journal import Entry, FileState, Scanned, Waiting
from ctao_bdms.model import Defect, DefectKind, FileFacts, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.daemon.context import StageContext
    from ctao_bdms.journal import Tally
    from ctao_bdms.workers import Scans

__all__ = ["ScanStage"]

_log = logging.getLogger(__name__)

#: Files in the queue of each worker, so that no worker waits for the loop: a few large files, or as many small files
#: as a worker reads while the loop waits for the catalogue.
_AHEAD, _AHEAD_BYTES, _AHEAD_MOST = 4, 64_000_000, 256

#: A file above this size, in bytes, may take minutes: one worker is always kept free of such files.
_LARGE_BYTES = 10_000_000_000

#: The period of the check for files whose retry is due, in seconds.
_IDLE_S = 0.2


@attrs.define(eq=False, kw_only=True)
class _Running:
    """A running scan."""

    entry: Entry
    stamp: Stamp
    future: Future[FileFacts]
    begin_s: float
    ticket: Ticket


def _facts_of(running: _Running) -> FileFacts:
    """Return the facts of an ended scan, with a worker defect if it raised."""
    error = CancelledError() if running.future.cancelled() else running.future.exception()
    if error is None:
        return running.future.result()
    path = running.entry.path
    defect = Defect(DefectKind.WORKER, f"{path} could not be scanned: {type(error).__name__}: {error}".rstrip(": "))
    return FileFacts(path=str(path), size_bytes=0, modified_ns=0, digests={}, defects=(defect,))


def _why(facts: FileFacts) -> str:
    """Return the messages of all defects of a file."""
    return "; ".join(defect.message for defect in facts.defects)


def _scanned(running: _Running, facts: FileFacts) -> Scanned:
    """Return the result of a scan, with category and priority from the header."""
    entry = running.entry
    category = str(facts.keywords.get("DATACAT", "")) or entry.category
    priority = priority_in(category, entry.priority)
    return Scanned(path=entry.path, stamp=running.stamp, facts=facts, category=category, priority=priority)


class ScanStage:
    """Scan the files that are due, and write their facts into the journal.

    Parameters
    ----------
    circuits
        A failed scan opens a circuit, as a failed stage does.
    """

    name: ClassVar[str] = "scan"
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.JOURNAL})

    def __init__(self, context: StageContext, scans: Scans, circuits: Circuits) -> None:
        self._context = context
        self._journal = context.journal
        self._metrics = context.metrics
        self._now, self._monotonic = context.clocks.now, context.clocks.monotonic
        self._workers = context.settings().workers.number
        self._scans = scans
        self._circuits = circuits
        self._running: dict[Path, _Running] = {}
        self._ended: queue.SimpleQueue[_Running] = queue.SimpleQueue()
        self._unwritten: list[tuple[_Running, FileFacts]] = []
        self._is_draining = False
        self._idle_s = self._monotonic()
        #: Files without a valid name in the archive: they are quarantined without a scan.
        self.nameless: dict[Path, Entry] = {}

    @property
    def running(self) -> int:
        """The number of files that are being scanned or queued for a worker."""
        return len(self._running)

    def due_in_s(self) -> float:
        """Return 0 if a scan has ended or a file can be submitted."""
        if not self._ended.empty() or self._unwritten:
            return 0.0
        if self._is_draining:
            return float("inf")
        found = self._journal.tallies()[FileState.FOUND]
        waiting = found.files - len(self._running) - len(self.nameless)
        return self._idle_s - self._monotonic() if waiting > 0 and self._room(found) else float("inf")

    def _room(self, found: Tally) -> int:
        """Return the number of files to submit: 0 until half of the last are scanned."""
        mean_bytes = max(1, found.size_bytes // max(1, found.files))
        most = self._workers * max(_AHEAD, min(_AHEAD_MOST, _AHEAD_BYTES // mean_bytes))
        count = len(self._running) - self._n_large
        return most - count if count <= most // 2 else 0

    @property
    def _n_large(self) -> int:
        """The number of large files that are being scanned or queued."""
        return sum(running.stamp.size_bytes > _LARGE_BYTES for running in self._running.values())

    def drain(self) -> None:
        """Submit no more files."""
        self._is_draining = True

    def step(self, *, probe: bool) -> None:
        """Write the results of ended scans, and submit files that are due."""
        self._take()
        if not self._is_draining:
            self._hand_out(1 if probe else self._room(self._journal.tallies()[FileState.FOUND]))
            # Files that remain wait for their own retry time.
            self._idle_s = self._monotonic() + _IDLE_S

    def _take(self) -> None:
        """Write the results of the scans that have ended."""
        while not self._ended.empty():
            running = self._ended.get()
            self._unwritten.append((running, _facts_of(running)))
        if not self._unwritten:
            return
        scanned, waiting = [], []
        for running, facts in self._unwritten:
            cause = self._cause(facts)
            if cause is None:
                scanned.append((running, facts))
            else:
                waiting.append(self._context.retry_later(running.entry, cause, _why(facts)))
        changed: set[Path] = set()
        failed = list(
            isolate_failures(lambda some: changed.update(self._journal.scanned(starmap(_scanned, some))), scanned)
        )
        waiting += [self._fails(running.entry, error) for (running, _), error in failed]
        again = {running.entry.path: running.entry for running, _ in self._unwritten}
        why = "it changed while it was read"
        waiting += [self._context.retry_later(again[path], Cause.CHANGING, why) for path in changed]
        self._journal.waits(waiting)
        for running, facts in self._unwritten:
            self._settle(running, facts)
        self._unwritten.clear()

    def _settle(self, running: _Running, facts: FileFacts) -> None:
        """Count a scan, and settle its ticket."""
        self._running.pop(running.entry.path, None)
        cause = self._cause(facts)
        for closed in self._circuits.settle(running.ticket, cause):
            _log.info("%s works again; %d files go on", closed, self._journal.resume(closed))
        with log_context(file_id=running.entry.path, lfn=running.entry.lfn, night=running.entry.night):
            if cause is None:
                self._metrics.scanned(size_bytes=facts.size_bytes, duration_s=self._monotonic() - running.begin_s)
                level = logging.INFO if facts.verdict in {Verdict.GOOD, Verdict.UNCHECKED} else logging.WARNING
                _log.log(level, "read: %s", facts.verdict)
            else:
                self._metrics.retried(cause)
                _log.warning("not read, tried again: %s", _why(facts))

    @staticmethod
    def _cause(facts: FileFacts) -> Cause | None:
        """Return the cause if the file could not be read; None if it could."""
        return cause_of_defects(facts.defects) if facts.verdict is Verdict.ERROR else None

    def _fails(self, entry: Entry, error: Exception) -> Waiting:
        """Let a file wait after an unexpected error; log the traceback once."""
        if entry.cause != Cause.FAILED:
            with log_context(file_id=entry.path, lfn=entry.lfn, night=entry.night):
                _log.error("the software fails over this file; please report it", exc_info=error)
        return self._context.retry_later(entry, Cause.FAILED, f"{type(error).__name__}: {error}")

    def _hand_out(self, count: int) -> None:
        """Submit up to `count` files; while the storage fails, one file as the probe."""
        if count <= 0:
            return
        busy = self._running.keys() | self.nameless.keys()
        left = max(1, self._workers - 1) - self._n_large
        largest = None if left > 0 else _LARGE_BYTES
        order = self._context.settings().queue.order
        due = self._journal.due(
            FileState.FOUND, count, now=self._now(), order=order, without=busy, largest_bytes=largest
        )
        for entry in due:
            if entry.lfn is None:
                self.nameless[entry.path] = entry
                continue
            if (entry.size_bytes or 0) > _LARGE_BYTES:
                if left <= 0:
                    continue
                left -= 1
            ticket = self._circuits.admit({Cause.STORAGE, Cause.MACHINE})
            if ticket is None:
                return
            if not self._submit(entry, ticket) or ticket.probes:
                return

    def _submit(self, entry: Entry, ticket: Ticket) -> bool:
        """Submit one file; return False if the storage failed."""
        try:
            stamp = Stamp.of(entry.path)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            cause = Cause.NO_FILE if missing else Cause.STORAGE
            self._circuits.settle(ticket, cause)
            self._journal.waits([self._context.retry_later(entry, cause, str(error))])
            return missing
        try:
            algorithms = algorithms_of(entry, sidecars=self._context.settings().inbox.sidecars)
            future = self._scans.submit(entry.path, stamp.size_bytes, algorithms=algorithms)
        except Exception as error:
            self._circuits.settle(ticket, cause_of(error))
            if not is_unforeseen(error):
                raise
            self._journal.waits([self._fails(entry, error)])
            return True
        running = _Running(entry=entry, stamp=stamp, future=future, begin_s=self._monotonic(), ticket=ticket)
        self._running[entry.path] = running
        future.add_done_callback(lambda _: self._end(running))
        return True

    def _end(self, running: _Running) -> None:
        """Queue the end of a scan; called in the thread of the pool."""
        self._ended.put(running)
        self._context.wake.set()
