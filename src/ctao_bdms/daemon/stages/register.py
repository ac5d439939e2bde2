"""Register batches of scanned files in the archive, or quarantine them.

A request to the server takes about as long as everything else in a turn. So a separate thread sends it while the loop
continues. Only the loop writes the journal.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.causes import Cause, cause_of, cause_of_defects, is_unforeseen
from ctao_bdms.daemon.face import log_context
from ctao_bdms.daemon.stages.description import description
from ctao_bdms.daemon.stages.isolation import isolate_failures
from ctao_bdms.inbox import Sighting
from ctao_bdms.inbox.files import local_file
from ctao_bdms.ingest.record import record
from ctao_bdms.ingest.report import Outcome, Status
from ctao_bdms.journal import Entry, FileState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from collections.abc import Set as AbstractSet
    from concurrent.futures import Executor

    from ctao_bdms.daemon.context import StageContext
    from ctao_bdms.inbox.files import LocalFile
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.ingest.registrar import Registrar
    from ctao_bdms.model import Did, FileFacts

__all__ = ["FAILED", "REFUSED", "RegisterStage"]

_log = logging.getLogger(__name__)

#: The cause of a file that is rejected though its content is good: an operator must act.
REFUSED = "refused"

#: The cause of a file that fails because of a bug.
FAILED = Cause.FAILED

#: The period of the check for due retries while all files wait, in seconds.
_IDLE_S = 0.2


@attrs.frozen
class _Batch:
    """A batch that is being registered, with the outcomes so far."""

    entries: dict[Path, Entry]
    outcomes: dict[Path, Outcome]
    answer: Future[None]


class RegisterStage:
    """Register scanned files in batches.

    Parameters
    ----------
    registrar
        Recovers, and returns the registrar; called until the archive answers for the first time.
    nameless
        Files without a valid name in the archive, by path. This stage removes those that are done.
    look_again
        Called with a trigger whose file was replaced after the scan.
    executor
        One thread for requests to the archive.
    """

    name: ClassVar[str] = "register"
    causes: ClassVar[frozenset[Cause]] = frozenset(
        {Cause.CATALOGUE, Cause.CREDENTIALS, Cause.STORAGE, Cause.MACHINE, Cause.JOURNAL}
    )

    def __init__(
        self,
        context: StageContext,
        registrar: Callable[[], Registrar],
        *,
        nameless: dict[Path, Entry],
        look_again: Callable[[Path], None],
        executor: Executor,
    ) -> None:
        self._context = context
        self._journal = context.journal
        self._metrics = context.metrics
        self._now, self._monotonic = context.clocks.now, context.clocks.monotonic
        self._root = Path(os.path.realpath(context.settings().storage.root))
        self._make_registrar = registrar
        self._registrar: Registrar | None = None
        self._nameless = nameless
        self._executor = executor
        self._look_again = look_again
        self._since_s: float | None = None
        self._most: int | None = None
        self._is_idle = False
        self._batch: _Batch | None = None
        self._closed: deque[Did] = deque()

    @property
    def registrar(self) -> Registrar | None:
        """The registrar; None until the archive has answered."""
        return self._registrar

    @property
    def has_due(self) -> bool:
        """Whether files are being registered or are due."""
        return bool(self._batch or self._nameless or self._due(1))

    @property
    def busy(self) -> AbstractSet[Path]:
        """The triggers of files in the current batch, until the journal has its outcome."""
        entries = () if self._batch is None else self._batch.entries.values()
        return {entry.trigger for entry in entries if entry.trigger is not None}

    def due_in_s(self) -> float:
        """Return the time until a batch is due, in seconds.

        A batch is due when it is full or its first file is old enough. The time is 0 until the archive has answered:
        recovery must run at the start, and not when the next file comes, perhaps a day later.
        """
        if self._registrar is None:
            return 0.0
        if self._batch is not None:
            return 0.0 if self._batch.answer.done() else float("inf")  # `wake` ends the wait
        count = self._journal.tallies()[FileState.SCANNED].files + len(self._nameless)
        if not count:
            self._since_s = None
            return float("inf")
        now_s = self._monotonic()
        self._since_s = now_s if self._since_s is None else self._since_s
        age_s = self._context.settings().batches.age_s
        if self._is_idle:
            return self._since_s + max(age_s, _IDLE_S) - now_s
        return 0.0 if count >= self._limit else self._since_s + age_s - now_s

    @property
    def _limit(self) -> int:
        most = self._context.settings().batches.files
        if self._most is not None:
            most = min(most, self._most)
        return most if self._registrar is None else min(most, self._registrar.batches.size.files)

    def step(self, *, probe: bool) -> None:
        """Finish the last batch, and submit the next one; a probe waits for its answer."""
        if self._batch is not None:
            self._finish_batch()
            if self.due_in_s() > 0:
                return
        self._since_s = None
        if self._registrar is None:
            # Also when no file waits: this runs the recovery.
            self._registrar = self._make_registrar()
        limit = 1 if probe else self._limit
        due = (*self._nameless.values(), *self._due(limit))
        if any(entry.cause == FAILED for entry in due):
            # A file that made a batch fail is tried alone, and only when nothing else is due.
            due = tuple(entry for entry in due if entry.cause != FAILED) or due[:1]
        entries = {entry.path: entry for entry in (due if self._most is None else due[:limit])}
        items = {path: item for path, entry in entries.items() if (item := self._item(entry)) is not None}
        self._is_idle = not items
        if not items:
            return
        self._batch = self._submit(self._registrar, {path: entries[path] for path in items}, list(items.values()))
        if probe or self._batch.answer.done():
            self._finish_batch()

    def _due(self, limit: int) -> list[Entry]:
        return self._journal.due(FileState.SCANNED, limit, now=self._now(), order=self._context.settings().queue.order)

    def close(self, *, everything: bool = False) -> tuple[Did, ...]:
        """Close due blocks; return the blocks closed since the last call.

        Parameters
        ----------
        everything
            Wait for the current batch, and close all blocks, even if the journal cannot be written.
        """
        if everything and self._batch is not None:
            self._batch.answer.exception()
        if (everything or self._batch is None) and self._registrar is not None:
            self._closed.extend(self._registrar.close(everything=everything))
        return tuple(self._closed.popleft() for _ in range(len(self._closed)))

    def finish(self) -> None:
        """Wait for the current batch, and write its outcome."""
        if self._batch is not None:
            self._finish_batch()

    def _submit(self, registrar: Registrar, entries: dict[Path, Entry], items: Sequence[Described]) -> _Batch:
        """Submit a batch to the thread of the archive."""
        outcomes: dict[Path, Outcome] = {}
        answer = self._executor.submit(self._register_batch, registrar, items, outcomes)
        answer.add_done_callback(lambda _: self._context.wake.set())
        return _Batch(entries, outcomes, answer)

    def _register_batch(self, registrar: Registrar, items: Sequence[Described], outcomes: dict[Path, Outcome]) -> None:
        """Register a batch, and close due blocks."""
        # In the same thread, since the registrar is not thread-safe.
        registrar.take(items, lambda outcome: outcomes.__setitem__(outcome.path, outcome))
        self._closed.extend(registrar.close())

    def _finish_batch(self) -> None:
        """Wait for the answer to a batch, and write the outcome of its files.

        The answer is kept until the journal has it: the triggers are removed by now, and without the answer the files
        would look withdrawn.
        """
        assert self._batch is not None
        batch, error = self._batch, self._batch.answer.exception()
        outcomes = list(batch.outcomes.values())
        for outcome, failure in isolate_failures(lambda some: self._write(batch.entries, some), outcomes):
            self._fails(batch.entries[outcome.path], failure)
        self._batch = None
        if error is None:
            if self._most is not None:
                self._most = None if self._most >= self._context.settings().batches.files else 2 * self._most
            return
        left = [entry for path, entry in batch.entries.items() if path not in batch.outcomes]
        if isinstance(error, Exception) and is_unforeseen(error):
            self._unexpected(left, error)
            return
        if cause_of(error) is Cause.STORAGE:
            # Other files must not wait for a file that cannot be moved to quarantine.
            self._journal.waits(self._context.retry_later(entry, Cause.STORAGE, str(error)) for entry in left)
        raise error

    def _unexpected(self, entries: Sequence[Entry], error: Exception) -> None:
        """Halve the batches to find the file that fails, so that only this file waits."""
        if not entries:
            raise error
        if len(entries) == 1:
            self._fails(entries[0], error)
        else:
            self._most = len(entries) // 2
            _log.warning("%d files cannot be registered together, fewer are tried: %r", len(entries), error)

    def _item(self, entry: Entry) -> Described | None:
        """Return the description of a file; None if this fails, and the file waits."""
        try:
            facts = None if entry.lfn is None else self._journal.facts(entry.path)
            item = self._describe(local_file(entry.path, entry.trigger, self._root), facts)
        except Exception as error:  # noqa: BLE001 - an error of one file must not stop the others
            self._fails(entry, error)
            return None
        if item.file.path != entry.path:
            self._stays(entry, REFUSED, f"{entry.path} is a link to {item.file.path} now, and no more what was read")
            return None
        return item

    def _describe(self, file: LocalFile, facts: FileFacts | None) -> Described:
        return description(file, facts, self._context.settings())

    def _fails(self, entry: Entry, error: Exception) -> None:
        """Let a file wait after an error; raise the error if it concerns all files."""
        cause = cause_of(error)
        if entry.cause != FAILED and cause is None:
            with log_context(file_id=entry.path, lfn=entry.lfn, night=entry.night):
                _log.error("the software fails over this file; please report it", exc_info=error)
        self._stays(entry, cause or FAILED, f"{type(error).__name__}: {error}")
        if cause is not None and cause.is_shared:
            raise error

    def _stays(self, entry: Entry, cause: str, why: str) -> None:
        """Let a file wait that is not registered."""
        self._journal.waits([self._context.retry_later(entry, cause, why)])
        self._nameless.pop(entry.path, None)
        with log_context(file_id=entry.path, lfn=entry.lfn, night=entry.night):
            _log.warning("not taken, tried again: %s", why)

    def _write(self, entries: dict[Path, Entry], outcomes: Collection[Outcome]) -> None:
        """Write outcomes into the journal."""
        waiting, again, gone = [], [], []
        for outcome in (outcome for outcome in outcomes if outcome.status is Status.REFUSED):
            entry = entries[outcome.path]
            if _is_withdrawn(entry):
                gone.append(entry.path)
            else:
                cause = cause_of_defects(outcome.defects)
                seen = Sighting.of(local_file(entry.path, entry.trigger, self._root))
                if cause is Cause.CHANGING and seen.stamp is not None and seen.path == entry.path:
                    again.append(seen)
                else:
                    waiting.append(self._context.retry_later(entry, cause or REFUSED, outcome.why))
        record(self._journal, outcomes)
        replaced = [entries[outcome.path] for outcome in outcomes if outcome.is_replaced]
        self._journal.left_standing(entry.path for entry in replaced)
        for entry in replaced:
            if entry.trigger is not None:
                self._look_again(entry.trigger)
        self._journal.withdrawn(gone)
        self._journal.observe(again)
        self._journal.waits(waiting)
        for outcome in outcomes:
            self._nameless.pop(outcome.path, None)
            self._count(entries[outcome.path], outcome)

    def _count(self, entry: Entry, outcome: Outcome) -> None:
        """Count and log the outcome of a file."""
        now = self._now()
        with log_context(file_id=entry.path, lfn=entry.lfn, night=entry.night, block=outcome.block):
            if outcome.is_archived:
                lag_s = (now - (entry.triggered or entry.found or now)).total_seconds()
                self._metrics.registered(size_bytes=outcome.size_bytes or 0, lag_s=lag_s, now_s=now.timestamp())
                _log.info("%s, %.1f s after its trigger", outcome.status, lag_s)
            elif outcome.status is Status.QUARANTINED:
                self._metrics.quarantined(outcome.defects[0].kind)
                _log.error("quarantined in %s: %s", outcome.case, outcome.why)
            else:
                _log.warning("not taken, tried again: %s", outcome.why)


def _is_withdrawn(entry: Entry) -> bool:
    """Return whether a file and its trigger were removed from an existing folder.

    A missing folder does not count: the storage may not be mounted.
    """
    both = (entry.path, *([] if entry.trigger is None else [entry.trigger]))
    return entry.path.parent.is_dir() and not any(os.path.lexists(path) for path in both)
