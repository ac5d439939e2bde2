"""Transactions of the journal."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms.errors import LeaseLostError
from ctao_bdms.journal.columns import to_column, to_text
from ctao_bdms.journal.database import converted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["RESET", "Transaction", "transaction"]

#: Assignments that clear the wait of an entry when its state changes.
RESET = "cause = '', attempts = 0, next_try_us = NULL, why = ''"


@attrs.frozen(kw_only=True)
class Transaction:
    """An open transaction that runs statements and writes events.

    Attributes
    ----------
    now_us
        The time of all its events, in microseconds since 1970.
    writer
        The id of the writer.
    """

    connection: sqlite3.Connection
    now_us: int
    writer: int

    def run(self, sql: str, *values: object, **named: object) -> list[tuple[Any, ...]]:
        """Run a statement with positional or named values, and return its rows."""
        return self.connection.execute(sql, named or values).fetchall()

    def event(self, entry: int, event: str, detail: str = "") -> None:
        """Append an event to an entry."""
        self.connection.execute(
            "INSERT INTO events SELECT :entry, coalesce(max(number), 0) + 1, :now_us, :event, :detail, :writer "
            "FROM events WHERE entry = :entry",
            {
                "entry": entry,
                "now_us": self.now_us,
                "event": event,
                "detail": to_text(detail),
                "writer": self.writer,
            },
        )

    def move(self, path: Path, assignments: str, only: str, **named: object) -> int | None:
        """Update an entry and clear its wait if `only` holds; return its id if it did."""
        rows = self.run(
            f"UPDATE entries SET {RESET}, {assignments} WHERE path = :path AND {only} RETURNING id",
            path=to_column(path),
            **named,
        )
        return rows[0][0] if rows else None


@contextmanager
def transaction(
    connection: sqlite3.Connection, path: Path, *, fence: int, writer: int, now_us: int
) -> Iterator[Transaction]:
    """Run an atomic transaction if the writer still holds the lease.

    Raises
    ------
    LeaseLostError
        If a higher fencing token than `fence` has opened the journal.
    JournalUnavailableError
        If the disk is full or fails; nothing is written then.
    """
    with converted(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            (holder,) = connection.execute("SELECT value FROM meta WHERE key = 'fence'").fetchone()
            if holder != fence:
                raise LeaseLostError(fence, holder)
            yield Transaction(connection=connection, now_us=now_us, writer=writer)
            connection.execute("COMMIT")
        except BaseException:
            # SQLite rolls back by itself when the disk is full.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
