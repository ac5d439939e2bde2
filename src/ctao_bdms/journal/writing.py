"""One transaction of the journal's writer."""

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

#: What an entry no longer carries once it has gone on.
RESET = "cause = '', attempts = 0, next_try_us = NULL, why = ''"


@attrs.frozen(kw_only=True)
class Transaction:
    """An open transaction: it runs statements, and writes events.

    Attributes
    ----------
    connection
        The open journal.
    now_us
        Its time, microseconds since 1970: all that is written together happened together.
    writer
        Who writes.
    """

    connection: sqlite3.Connection
    now_us: int
    writer: int

    def run(self, sql: str, *values: object, **named: object) -> list[tuple[Any, ...]]:
        """Run one statement with values, all by place or all by name, and return its rows."""
        return self.connection.execute(sql, named or values).fetchall()

    def event(self, entry: int, event: str, detail: str = "") -> None:
        """Append to the history of an entry."""
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
        """Let the entry of `path` go on, if the condition `only` is true; return its number if it did."""
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
    """Run a transaction, if nobody has taken the writer's place; all of it or nothing.

    Raises
    ------
    LeaseLostError
        If a higher fence than `fence` has opened the journal.
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
            # A full disk may have ended the transaction already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
