"""The journal as its one writer sees it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.journal import compaction, observing
from ctao_bdms.journal.columns import PLACE, facts_to_bytes, known_instant, microseconds, place_of, to_column, to_text
from ctao_bdms.journal.database import converted, open_for_writing
from ctao_bdms.journal.reader import LONGEST_WAIT_S, JournalReader
from ctao_bdms.journal.schema import LACKING
from ctao_bdms.journal.values import FileState
from ctao_bdms.journal.writing import transaction
from ctao_bdms.processes import this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ctao_bdms.inbox import Sighting
    from ctao_bdms.journal.values import Rejected, Scanned, Waiting
    from ctao_bdms.journal.writing import Transaction
    from ctao_bdms.model import ArchivedFile, Did

__all__ = ["Journal", "Observed"]

#: How many sightings are written at once.
_CHUNK = 5000

#: A file that failed so often goes on waiting for its own time when the cause has gone.
_PATIENCE = 3

_IS_OPEN = "state IN ('found', 'scanned')"


@attrs.frozen(kw_only=True)
class Observed:
    """What became of sightings.

    Attributes
    ----------
    new
        Files that the journal did not know.
    again
        Files that have changed, or whose trigger is a new one, since they were last seen.
    known
        Files of which nothing is new.
    """

    new: int = 0
    again: int = 0
    known: int = 0


class Journal(JournalReader):
    """The journal, open for writing; one process at a time.

    Every method writes all or nothing, and may be called again with the same: what is true already stays.

    Parameters
    ----------
    path
        The file, on a disk of this machine. A new one is begun if there is none, or if the one there is damaged.
    by
        Who writes, for the events.
    now
        The clock.
    fence
        The number of the lease that allows to write. Once a higher number has opened the journal, a lower one cannot
        write any more.
    longest_wait_s
        Returns the longest that a file waits for a time, in seconds: so much can a clock that was ahead cost.

    Attributes
    ----------
    damaged
        Where the journal was put that was found damaged; None if none was.

    Raises
    ------
    JournalError
        If a newer version of the software wrote it, or it is something else.
    JournalUnavailableError
        If it cannot be opened now.
    LeaseLostError
        If a higher number than `fence` has opened it. Every method that writes raises both of these, too.
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

    def _writing(self) -> AbstractContextManager[Transaction]:
        now_us = microseconds(self._now())
        return transaction(self._connection, self.path, fence=self._fence, writer=self._writer, now_us=now_us)

    def observe(self, sightings: Iterable[Sighting]) -> Observed:
        """Take note of triggers that stand, in portions, so that there may be any number.

        A file whose stamp is known, at this path or at another one, keeps what its bytes said. A file that changed
        begins anew. A file that was registered begins anew if its trigger is a new one: it walks again, and nothing is
        done twice.
        """
        counts: Counter[str] = Counter()
        rest = iter(sightings)
        while chunk := list(islice(rest, _CHUNK)):
            with self._writing() as work:
                counts.update(observing.observe(work, sighting) for sighting in chunk)
        return Observed(**counts)

    def scanned(self, scans: Iterable[Scanned]) -> list[Path]:
        """Take note of what bytes say.

        Returns
        -------
        list of Path
            Files that were not taken, because they changed after the stamp was taken; they are still due.
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
        """Take note that files are in the catalogue, in `block`; None if they were there already."""
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
        """Take note that triggers stand though their files are registered: the next sighting is a new one."""
        with self._writing() as work:
            for path in paths:
                work.run("UPDATE entries SET trigger_ns = 0 WHERE path = ?", to_column(path))

    def replicated(self, paths: Iterable[Path]) -> None:
        """Take note that all copies of registered files are there."""
        with self._writing() as work:
            for path in paths:
                done = "state = 'replicated', replicated_us = :now_us"
                number = work.move(path, done, "state = 'registered'", now_us=work.now_us)
                if number is not None:
                    work.event(number, FileState.REPLICATED)

    def quarantined(self, rejected: Iterable[Rejected]) -> None:
        """Take note that files may not enter the archive; what their bytes said stands in the reason document."""
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
        """Take note that triggers have gone; files that are through or in quarantine stay what they are."""
        with self._writing() as work:
            for path in paths:
                number = work.move(path, "state = 'withdrawn', why = 'its trigger has gone'", _IS_OPEN)
                if number is not None:
                    work.event(number, FileState.WITHDRAWN, "its trigger has gone")

    def waits(self, waiting: Iterable[Waiting]) -> None:
        """Take note that files cannot go on now; each counts an attempt, and a new cause is an event."""
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
        """Make due what waited for `cause`, and return how many files that are.

        A file that failed three times and more waits for its own time: if it is the one that fails and not what all
        wait for, it must not come first again and again.
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
        """Since when it is a new one that `rebuild` has not filled; None if it is filled.

        It outlasts the process: until the catalogue has said everything, a journal that was lost knows of no file that
        is on its way.
        """
        rows = self._rows("SELECT value FROM meta WHERE key = ?", LACKING)
        return known_instant(rows[0][0]) if rows else None

    def filled(self) -> None:
        """Take note that it holds all of the catalogue that it needs."""
        with self._writing() as work:
            work.run("DELETE FROM meta WHERE key = ?", LACKING)

    def rebuild(self, found: Iterable[Sighting], archive: Iterable[ArchivedFile], rse: str, root: Path) -> None:
        """Fill a journal that is new from what stands on the storage and in the catalogue, in as many calls as need be.

        When all is written, `filled` says so.

        Parameters
        ----------
        found
            All triggers that stand.
        archive
            The files that the catalogue holds, with their replicas and datasets.
        rse
            The storage element on site: files without a replica there are left out.
        root
            Where its files lie, links resolved.
        """
        self.observe(found)
        rest = iter(archive)
        while chunk := list(islice(rest, _CHUNK)):
            with self._writing() as work:
                for file in chunk:
                    compaction.rebuild_entry(work, file, rse, root)

    def compact(self, *, thin_before: dt.datetime, forget_before: dt.datetime | None = None) -> int:
        """Make the journal smaller, a night at a time, and return how many entries were thinned or forgotten.

        Of nights whose files are all through, the files that were replicated before `thin_before` lose their history
        but for one event, and what their bytes said: the digests stand in the catalogue. The times of the steps stay.

        Parameters
        ----------
        thin_before
            What was complete before is thinned.
        forget_before
            What was complete, or withdrawn, before is forgotten altogether.
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
