"""The reader of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import JournalError
from ctao_bdms.journal.columns import (
    ENTRY,
    ENTRY_FROM,
    entry_of,
    facts_from_bytes,
    instant,
    known_instant,
    microseconds,
    to_column,
)
from ctao_bdms.journal.database import converted, open_for_reading
from ctao_bdms.journal.records import Entry, Event, FileState, Order, Tally
from ctao_bdms.model import Did, Night
from ctao_bdms.processes import this_process

if TYPE_CHECKING:
    import datetime as dt
    import sqlite3
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from ctao_bdms.model import FileFacts

__all__ = ["LONGEST_WAIT_S", "JournalReader"]

#: The default for the longest wait before a retry, in seconds.
LONGEST_WAIT_S = 3600.0

_PAGE = 1000

#: The total size of files; sum() would fail on an overflow of 64 bits.
_BYTES = "CAST(total(size_bytes) AS INTEGER)"


def _backwards(night: str) -> tuple[int, ...]:
    """Return a sort key: the newest night first, files without a night last."""
    return tuple(-ord(character) for character in night) or (1,)


#: By order: its index, its SQL clause, and the sort key that merges two lists of rows.
_ORDERS: dict[Order, tuple[str, str, Callable[[tuple[Any, ...]], Any]]] = {
    Order.NEWEST_NIGHT: ("entries_newest", "e.night DESC, e.id DESC", lambda row: (_backwards(row[9]), -row[0])),
    Order.OLDEST: ("entries_oldest", "e.night, e.id", lambda row: (row[9], row[0])),
    Order.PRIORITY: (
        "entries_priority",
        "e.priority DESC, e.night DESC, e.id DESC",
        lambda row: (-row[12], _backwards(row[9]), -row[0]),
    ),
}


class JournalReader:
    """A journal, open for reading; a daemon may write meanwhile.

    Raises
    ------
    NotFoundError
        If there is no journal.
    JournalError
        If the file is not a journal, or has another schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._longest_wait_s: Callable[[], float] = lambda: LONGEST_WAIT_S
        self._opened = open_for_reading(path)
        self._process = this_process()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; in the child of a fork, leave it to the parent."""
        if self._process is this_process():
            self._opened.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        """The open database; it raises in a forked child, which would break our locks."""
        if self._process is not this_process():
            raise JournalError(f"the journal {self.path} was opened by another process; open it again in this one")
        return self._opened

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with converted(self.path):
            return self._connection.execute(sql, values).fetchall()

    def due(
        self,
        state: FileState,
        limit: int,
        *,
        now: dt.datetime,
        order: Order = Order.NEWEST_NIGHT,
        without: Collection[Path] = (),
        largest_bytes: int | None = None,
    ) -> list[Entry]:
        """Return the files whose next step is due, in order.

        Parameters
        ----------
        state
            `FileState.FOUND` for files to be scanned, `FileState.SCANNED` for files to be registered.
        now
            An aware time. Files whose retry time has passed are due. So are files with a retry time beyond the longest
            wait: it was written before the clock was set back.
        without
            Files in progress.
        largest_bytes
            Only files up to this size; by default all.
        """
        index, by, key = _ORDERS[order]
        wanted, now_us = limit + len(without), microseconds(now)
        latest_us = now_us + int(self._longest_wait_s() * 1_000_000)
        source = ENTRY_FROM.replace("entries e", f"entries e INDEXED BY {index}")
        small = "" if largest_bytes is None else f"AND e.size_bytes <= {largest_bytes:d} "
        first = f"SELECT {ENTRY} {source} WHERE e.ready = ? {small}ORDER BY {by} LIMIT ?"
        rows = self._rows(first, state.value, wanted)
        late = self._rows(
            f"SELECT {ENTRY} {ENTRY_FROM} WHERE e.next_try_us IS NOT NULL AND e.state = ? "
            f"AND (e.next_try_us <= ? OR e.next_try_us > ?) {small}ORDER BY {by} LIMIT ?",
            *(state.value, now_us, latest_us, wanted),
        )
        if late:
            rows = sorted([*rows, *late], key=key)
        found = map(entry_of, rows)
        return [entry for entry in found if entry.path not in without][:limit]

    def facts(self, path: Path) -> FileFacts | None:
        """Return the facts of the file at `path`; None if the journal does not have them."""
        rows = self._rows(
            "SELECT f.body FROM facts f JOIN entries e ON e.id = f.entry WHERE e.path = ?", to_column(path)
        )
        return facts_from_bytes(rows[0][0]) if rows else None

    def entry(self, path: Path) -> Entry | None:
        """Return the entry of the file at `path`; None if there is none."""
        rows = self._rows(f"SELECT {ENTRY} {ENTRY_FROM} WHERE e.path = ?", to_column(path))
        return entry_of(rows[0]) if rows else None

    def entries(
        self,
        *,
        state: FileState | None = None,
        night: Night | None = None,
        path: str = "",
        waiting: bool = False,
        block: Did | None = None,
    ) -> Iterator[Entry]:
        """Yield entries in the order in which they were found; each argument filters them.

        Parameters
        ----------
        path
            A pattern with ``*``, ``?`` and ``[...]`` for the whole path.
        waiting
            Only files that wait for a cause.
        """
        where = ["e.id > ?"]
        values: list[object] = []
        for condition, value in (
            ("e.state = ?", state and state.value),
            ("e.night = ?", night and str(night)),
            ("e.path GLOB ?", to_column(path)),
            ("e.block = (SELECT id FROM blocks WHERE scope || ':' || name = ?)", block and str(block)),
        ):
            if value:
                where.append(condition)
                values.append(value)
        if waiting:
            where.append("e.cause <> ''")
        # Paged: an open query of a slow reader would block the checkpoint of the daemon's write-ahead log.
        sql = f"SELECT {ENTRY} {ENTRY_FROM} WHERE {' AND '.join(where)} ORDER BY e.id LIMIT {_PAGE}"
        last = 0
        while rows := self._rows(sql, last, *values):
            yield from map(entry_of, rows)
            last = rows[-1][0]

    def events(self, path: Path) -> list[Event]:
        """Return the events of the file at `path`, the oldest first."""
        rows = self._rows(
            "SELECT v.time_us, v.event, v.detail, w.name FROM events v JOIN entries e ON e.id = v.entry "
            "JOIN writers w ON w.id = v.writer WHERE e.path = ? ORDER BY v.number",
            to_column(path),
        )
        return [Event(time=known_instant(row[0]), event=row[1], detail=row[2], by=row[3]) for row in rows]

    def tallies(self, night: Night | None = None) -> Mapping[FileState, Tally]:
        """Return number and size of the files in each state, including empty states.

        The cost does not depend on the number of files.
        """
        where, values = ("", []) if night is None else ("WHERE night = ?", [str(night)])
        rows = self._rows(f"SELECT state, sum(files), {_BYTES} FROM tallies {where} GROUP BY state", *values)
        found = {row[0]: Tally(row[1], row[2]) for row in rows}
        return {state: found.get(state.value, Tally()) for state in FileState}

    def waiting(self) -> Mapping[str, Tally]:
        """Return number and size of the files that wait for each cause."""
        rows = self._rows(
            f"SELECT cause, sum(files), {_BYTES} FROM tallies WHERE cause <> '' AND files > 0 GROUP BY cause"
        )
        return {row[0]: Tally(row[1], row[2]) for row in rows}

    def oldest_open(self) -> dt.datetime | None:
        """Return the time of the oldest trigger whose file is not registered.

        For a file without a trigger, the time of its discovery counts. The cost grows with the number of such files.
        """
        rows = self._rows(
            "SELECT min(CASE WHEN trigger_ns > 0 THEN trigger_ns / 1000 ELSE found_us END) FROM entries "
            "WHERE state IN ('found', 'scanned')"
        )
        return instant(rows[0][0])

    def nights(self) -> Mapping[Night, Mapping[FileState, Tally]]:
        """Return the tallies of each night, the oldest first."""
        nights: dict[Night, dict[FileState, Tally]] = {}
        for row in self._rows(
            f"SELECT night, state, sum(files), {_BYTES} FROM tallies WHERE files > 0 AND night <> '' "
            "GROUP BY night, state ORDER BY night"
        ):
            nights.setdefault(Night.parse(row[0]), {})[FileState(row[1])] = Tally(row[2], row[3])
        return nights

    def lags_s(self, first: Night) -> Iterator[float]:
        """Yield the lag from trigger to last copy, in seconds, since night `first`."""
        last = 0
        while rows := self._rows(
            "SELECT id, trigger_ns, replicated_us FROM entries WHERE id > ? AND night >= ? AND trigger_ns > 0 "
            "AND replicated_us IS NOT NULL ORDER BY id LIMIT ?",
            *(last, str(first), _PAGE),
        ):
            for last, trigger_ns, replicated_us in rows:  # noqa: B007 - the last one is where the next page begins
                yield max(0.0, replicated_us / 1e6 - trigger_ns / 1e9)

    def blocks(self, state: FileState) -> list[Did]:
        """Return the blocks that hold files in `state`."""
        rows = self._rows(
            "SELECT DISTINCT b.scope, b.name FROM entries e JOIN blocks b ON b.id = e.block WHERE e.state = ? "
            "ORDER BY b.scope, b.name",
            state.value,
        )
        return [Did(scope, name) for scope, name in rows]

    @property
    def size_bytes(self) -> int:
        """The size of the journal on disk, in bytes."""
        beside = (self.path.with_name(self.path.name + end) for end in ("", "-wal"))
        return sum(piece.stat().st_size for piece in beside if piece.exists())
