"""The writer of the journal."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import JournalLostError
from ctao_bdms.journal import compaction, observing
from ctao_bdms.journal.columns import PLACE, facts_to_bytes, known_instant, microseconds, place_of, to_column, to_text
from ctao_bdms.journal.database import converted, open_for_writing
from ctao_bdms.journal.reader import LONGEST_WAIT_S, JournalReader
from ctao_bdms.journal.records import FileState
from ctao_bdms.journal.schema import LACKING
from ctao_bdms.journal.writing import transaction
from ctao_bdms.processes import this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ctao_bdms.inbox import Sighting
    from ctao_bdms.journal.records import Rejected, Scanned, Waiting
    from ctao_bdms.journal.writing import Transaction
    from ctao_bdms.model import ArchivedFile, Did

__all__ = ["Journal", "Observed"]

#: Number of rows in one transaction.
_CHUNK = 5000

#: After this number of attempts, a file keeps its own retry time even if its cause is gone.
_PATIENCE = 3

_IS_OPEN = "state IN ('found', 'scanned')"


@attrs.frozen(kw_only=True)
class Observed:
    """The number of sightings by result.

    Attributes
    ----------
    new
        Files that the journal did not know.
    again
        Files that have changed or have a new trigger.
    known
        Files without a change.
    """

    new: int = 0
    again: int = 0
    known: int = 0


class Journal(JournalReader):
    """The journal, open for writing by one process.

    Each method writes all or nothing. All methods are idempotent.

    Parameters
    ----------
    path
        The file, on a local disk. It is created if it is missing or damaged.
    by
        The name of the writer in the events.
    fence
        The fencing token of the lease. After a higher token has opened the journal, a lower one cannot write any more.
    longest_wait_s
        Returns the longest wait before a retry, in seconds. It bounds the delay after a clock that was ahead.

    Attributes
    ----------
    damaged
        The path of a damaged journal that was set aside; None if there was none.

    Raises
    ------
    JournalError
        If a newer version of the software wrote the file, or it is not a journal.
    JournalUnavailableError
        If the file cannot be opened now. Each method that writes may raise it, too.
    LeaseLostError
        If a higher token has opened the journal. Each method that writes may raise it, too.
    """

    def __init__(
        self,
        path: Path,
        *,
        by: str,
        now: Callable[[], dt.datetime],
        fence: int = 0,
        longest_wait_s: Callable[[], float] = lambda: LONGEST_WAIT_S,
    ) -> None:
        self.path = path
        self._longest_wait_s = longest_wait_s
        self._now = now
        self._fence = fence
        self._writer = 0
        self._opened, self.damaged = open_for_writing(path, now())
        self._file = _identity(path)
        self._process = this_process()
        try:
            with converted(path):
                self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('fence', 0)")
                self._connection.execute("UPDATE meta SET value = max(value, ?) WHERE key = 'fence'", (fence,))
            with self._writing() as work:
                work.run("INSERT OR IGNORE INTO writers (name) VALUES (?)", by)
                ((self._writer,),) = work.run("SELECT id FROM writers WHERE name = ?", by)
        except BaseException:
            self.close()
            raise

    def demand_file(self) -> None:
        """Check that the file at `path` is still the one that is open.

        Raises
        ------
        JournalLostError
            If it was removed or replaced. Each method that writes may raise it, too.
        """
        if _identity(self.path) != self._file:
            raise JournalLostError(self.path)

    def _writing(self) -> AbstractContextManager[Transaction]:
        self.demand_file()
        now_us = microseconds(self._now())
        return transaction(self._connection, self.path, fence=self._fence, writer=self._writer, now_us=now_us)

    def observe(self, sightings: Iterable[Sighting]) -> Observed:
        """Record existing triggers, in chunks, so that any number is possible.

        A file whose stamp is known at this path or another one keeps its facts. A file that has changed starts again as
        found. A registered file starts again if its trigger is new: it is ingested again, which is idempotent.
        """
        counts: Counter[str] = Counter()
        rest = iter(sightings)
        while chunk := list(islice(rest, _CHUNK)):
            with self._writing() as work:
                counts.update(observing.observe(work, sighting) for sighting in chunk)
        return Observed(**counts)

    def scanned(self, scans: Iterable[Scanned]) -> list[Path]:
        """Record the facts of scanned files.

        Returns
        -------
        list of Path
            Files that changed after their stamp was taken; they were not recorded, and are still due.
        """
        changed = []
        with self._writing() as work:
            for scan in scans:
                facts, stamp = scan.facts, scan.stamp
                if not stamp.is_of(facts):
                    changed.append(scan.path)
                    continue
                number = work.move(
                    scan.path,
                    f"state = 'scanned', scanned_us = :now_us, {PLACE}, priority = coalesce(:priority, priority), "
                    "category = CASE WHEN :category = '' THEN category ELSE :category END",
                    _IS_OPEN,
                    now_us=work.now_us,
                    priority=scan.priority,
                    category=to_text(scan.category),
                    **place_of(stamp),
                )
                if number is not None:
                    work.run("INSERT OR REPLACE INTO facts VALUES (?, ?)", number, facts_to_bytes(facts))
                    work.event(number, FileState.SCANNED, facts.verdict)
        return changed

    def registered(self, paths: Iterable[Path], block: Did | None) -> None:
        """Record that files are in the catalogue; `block` is None if they were before."""
        with self._writing() as work:
            place = None
            if block is not None:
                work.run("INSERT OR IGNORE INTO blocks (scope, name) VALUES (?, ?)", block.scope, block.name)
                ((place,),) = work.run("SELECT id FROM blocks WHERE scope = ? AND name = ?", block.scope, block.name)
            for path in paths:
                number = work.move(
                    path,
                    "state = 'registered', registered_us = :now_us, block = coalesce(:block, block)",
                    "state NOT IN ('registered', 'replicated')",
                    now_us=work.now_us,
                    block=place,
                )
                if number is not None:
                    work.event(number, FileState.REGISTERED, "" if block else "the catalogue had it already")

    def left_standing(self, paths: Iterable[Path]) -> None:
        """Record remaining triggers of registered files: their next sighting is new."""
        with self._writing() as work:
            for path in paths:
                work.run("UPDATE entries SET trigger_ns = 0 WHERE path = ?", to_column(path))

    def replicated(self, paths: Iterable[Path]) -> None:
        """Record that registered files have all their copies."""
        with self._writing() as work:
            for path in paths:
                done = "state = 'replicated', replicated_us = :now_us"
                number = work.move(path, done, "state = 'registered'", now_us=work.now_us)
                if number is not None:
                    work.event(number, FileState.REPLICATED)

    def quarantined(self, rejected: Iterable[Rejected]) -> None:
        """Record rejected files, and drop their facts: the reason document has them."""
        with self._writing() as work:
            for reject in rejected:
                number = work.move(
                    reject.path,
                    "state = 'quarantined', why = :why",
                    "state <> 'quarantined'",
                    why=to_text(reject.why),
                )
                if number is not None:
                    work.run("DELETE FROM facts WHERE entry = ?", number)
                    where = "" if reject.case is None else f"{reject.case}: "
                    work.event(number, FileState.QUARANTINED, where + reject.why)

    def withdrawn(self, paths: Iterable[Path]) -> None:
        """Record removed triggers; registered and quarantined files keep their state."""
        with self._writing() as work:
            for path in paths:
                number = work.move(path, "state = 'withdrawn', why = 'its trigger has gone'", _IS_OPEN)
                if number is not None:
                    work.event(number, FileState.WITHDRAWN, "its trigger has gone")

    def waits(self, waiting: Iterable[Waiting]) -> None:
        """Record waiting files; each call counts an attempt, a new cause is an event."""
        with self._writing() as work:
            latest = self._now() + dt.timedelta(seconds=self._longest_wait_s())
            for wait in waiting:
                until = None if wait.next_try is None else microseconds(min(wait.next_try, latest))
                rows = work.run("SELECT id, cause FROM entries WHERE path = ?", to_column(wait.path))
                for number, cause in rows:
                    work.run(
                        "UPDATE entries SET cause = ?, why = ?, next_try_us = ?, attempts = attempts + 1 WHERE id = ?",
                        *(to_text(wait.cause), to_text(wait.why), until, number),
                    )
                    if cause != wait.cause:
                        work.event(number, "waiting", f"{wait.cause}: {wait.why}")

    def resume(self, cause: str) -> int:
        """Make the files due that wait for `cause`, and return their number.

        A file with three or more attempts keeps its own retry time: if the file itself causes the failure, it must not
        block the others again and again.
        """
        with self._writing() as work:
            rows = work.run(
                "UPDATE entries SET cause = '', next_try_us = NULL WHERE cause = ? AND "
                "(attempts < ? OR next_try_us IS NULL) RETURNING id",
                *(cause, _PATIENCE),
            )
        return len(rows)

    @property
    def lacking_since(self) -> dt.datetime | None:
        """The creation time of a journal that is not yet rebuilt; None if it is complete.

        It survives restarts: until the rebuild from the catalogue is complete, the journal misses registered files.
        """
        rows = self._rows("SELECT value FROM meta WHERE key = ?", LACKING)
        return known_instant(rows[0][0]) if rows else None

    def filled(self) -> None:
        """Record that the rebuild is complete."""
        with self._writing() as work:
            work.run("DELETE FROM meta WHERE key = ?", LACKING)

    def rebuild(self, found: Iterable[Sighting], archive: Iterable[ArchivedFile], rse: str, root: Path) -> None:
        """Rebuild a new journal from storage and catalogue, in any number of calls.

        Call `filled` after the last one.

        Parameters
        ----------
        found
            All existing triggers.
        archive
            The files in the catalogue, with their replicas and datasets.
        rse
            The storage element on site; files without a replica there are skipped.
        root
            The storage root, links resolved.
        """
        self.observe(found)
        rest = iter(archive)
        while chunk := list(islice(rest, _CHUNK)):
            with self._writing() as work:
                for file in chunk:
                    compaction.rebuild_entry(work, file, rse, root)

    def compact(self, *, thin_before: dt.datetime, forget_before: dt.datetime | None = None) -> int:
        """Compact complete nights, and return the number of thinned or removed entries.

        A thinned entry loses its facts, and its history becomes one event: the digests are in the catalogue. The times
        of the steps are kept.

        Parameters
        ----------
        thin_before
            Entries of files replicated before this time are thinned.
        forget_before
            Entries of files replicated or withdrawn before this time are removed; by default none.
        """
        thin_us = microseconds(thin_before)
        forget_us = 0 if forget_before is None else microseconds(forget_before)
        count = 0
        for night in compaction.complete_nights(self._connection, self.path):
            while True:
                with self._writing() as work:
                    done = compaction.forget(work, night, forget_us, _CHUNK) + compaction.thin(
                        work, night, thin_us, _CHUNK
                    )
                count += done
                if done == 0:
                    break
        compaction.shrink_file(self._connection, self.path)
        return count


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
