"""The SQLite database of the transfer service: its tables, and one connection for all threads."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from ctao_bdms.embedded.transfers.refusals import DatabaseInUseError
from ctao_bdms.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Database"]

_VERSION = 1
_TABLES = """
create table jobs (
    id text primary key, type text not null, state text not null, priority integer not null, metadata text not null,
    params text not null, reason text not null default '', submitted real not null, finished real
) without rowid;
create index jobs_finished on jobs (finished) where finished is not null;
create table files (
    id integer primary key autoincrement, job_id text not null references jobs (id) on delete cascade,
    place integer not null, state text not null, priority integer not null, source text not null,
    destination text not null, source_se text not null, dest_se text not null, size_bytes integer,
    algorithm text, digest text, verify text not null, overwrite integer not null, metadata text not null,
    attempts integer not null default 0, reason text not null default '', moved_bytes integer, started real,
    finished real
);
create index files_job on files (job_id, place);
create index files_queue on files (priority desc, id) where state = 'SUBMITTED';
create index files_active on files (destination) where state = 'ACTIVE';
create index files_live on files (job_id) where state in ('SUBMITTED', 'ACTIVE');
create table banned (
    se text primary key, status text not null, message text not null, since real not null
) without rowid;
create table configured (se text primary key, config text not null) without rowid;
"""
# Copies whose temporary file may still exist; a later addition that is compatible with the first layout.
_LEFTOVERS = """
create table if not exists leftovers (
    file_id integer primary key references files (id) on delete cascade, tried real not null
)
"""


class Database:
    """The open database. It is locked exclusively, so that no second service can run the same jobs.

    Parameters
    ----------
    path
        The file; created if it does not exist.
    patience_s
        How long to wait for another service to release it, in seconds.

    Raises
    ------
    DatabaseInUseError
        If another service holds it.
    EmbeddedError
        If it cannot be opened, is not a database, or has the layout of another version.
    """

    def __init__(self, path: Path, *, patience_s: float = 3) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise EmbeddedError(f"{path} cannot be opened: {error}") from error
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare(path)
        except sqlite3.Error as error:
            self._connection.close()
            if error.sqlite_errorname in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
                raise DatabaseInUseError(str(path)) from error
            raise EmbeddedError(f"{path} cannot be used as the database of transfers: {error}") from error
        except EmbeddedError:
            self._connection.close()
            raise

    def _prepare(self, path: Path) -> None:
        """Lock the file, and create the tables if it is new."""
        for pragma in (
            "locking_mode = exclusive",
            "journal_mode = wal",
            # A power cut may lose the last transactions; Rucio then submits lost jobs again.
            "synchronous = normal",
            "foreign_keys = on",
        ):
            self._connection.execute(f"pragma {pragma}")
        with self.writing():
            (version,) = self._connection.execute("pragma user_version").fetchone()
            if version == 0:
                for statement in _TABLES.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"pragma user_version = {_VERSION}")
            elif version != _VERSION:
                raise EmbeddedError(f"{path} was made by another version of ctao-bdms (its layout is {version})")
            self._connection.execute(_LEFTOVERS)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Run the block in a transaction: commit at its end, or roll back if it raises."""
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Run a statement and return its rows."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""
        with self._lock:
            self._connection.executemany(sql, rows)

    def changes(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run a statement and return the number of changed rows."""
        with self._lock:
            return self._connection.execute(sql, values).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
