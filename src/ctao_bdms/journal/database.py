"""Open the database file of the journal, and set a damaged file aside.

The state folder must be on a local disk: SQLite's write-ahead log needs memory shared between processes, which network
storage does not offer.
"""

from __future__ import annotations

import datetime as dt
import logging
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctao_bdms.errors import JournalCorruptError, JournalError, JournalUnavailableError, NotFoundError
from ctao_bdms.journal.columns import microseconds
from ctao_bdms.journal.schema import APPLICATION_ID, VERSION, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["converted", "open_for_reading", "open_for_writing"]

_log = logging.getLogger(__name__)

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
}
_BESIDE = ("", "-wal", "-shm")
_BUSY_TIMEOUT_S = 10.0


@contextmanager
def converted(path: Path) -> Iterator[None]:
    """Convert errors of SQLite to journal errors."""
    try:
        yield
    except sqlite3.Error as error:
        # The lower byte is the kind of error. The error of a file that is no database may have no code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _DAMAGED:
            raise JournalCorruptError(path, str(error)) from error
        if code in _UNAVAILABLE:
            raise JournalUnavailableError(path, str(error)) from error
        raise JournalError(f"the journal {path} does not do what it should: {error}") from error


def open_for_writing(path: Path, now: dt.datetime) -> tuple[sqlite3.Connection, Path | None]:
    """Open the journal at `path`, or create it.

    Returns
    -------
    sqlite3.Connection
        The open journal.
    Path or None
        The new path of a damaged journal that was set aside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _opened(path, now), None
    except JournalCorruptError as error:
        aside = _set_aside(path, now)
        _log.error("%s; it is kept as %s, and a new one is begun", error, aside)
        return _opened(path, now), aside


def _opened(path: Path, now: dt.datetime) -> sqlite3.Connection:
    with converted(path):
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        try:
            prepare(connection, str(path), microseconds(now))
            problems = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
            if problems != ["ok"]:
                raise JournalCorruptError(path, problems[0])
            connection.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last transactions, never the file. The lost state can be recovered: files by
            # their triggers, facts by a new scan, registrations from the catalogue.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("PRAGMA cache_size = -32768")
            connection.execute("PRAGMA journal_size_limit = 67108864")
        except BaseException:
            connection.close()
            raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the journal at `path` read-only, also while a daemon writes.

    Raises
    ------
    NotFoundError
        If there is no journal.
    JournalError
        If the file is not a journal, or has another schema version.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no journal at {path}; the daemon's state folder holds it")
    with converted(path):
        connection = _connected(path)
        try:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except BaseException:
            connection.close()
            raise
    if application != APPLICATION_ID or version != VERSION:
        connection.close()
        what = f"has form {version}, and this version of ctao-bdms reads form {VERSION}"
        raise JournalError(f"{path} {what if application == APPLICATION_ID else 'is no journal of ctao-bdms'}")
    return connection


def _connected(path: Path) -> sqlite3.Connection:
    """Connect read-only, also without write access to the folder.

    Without write access, SQLite can open the file only as immutable, which is safe if there is no write-ahead log.
    """
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.Error as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or path.with_name(path.name + "-wal").exists():
            raise
        return sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None)
    return connection


def _set_aside(path: Path, now: dt.datetime) -> Path:
    """Rename a damaged journal and its log files to a free name; return the new path."""
    stem = f"{path.name}.damaged-{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}"
    aside = path.with_name(stem)
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{stem}-{number}")
    for end in _BESIDE:
        piece = path.with_name(path.name + end)
        if piece.exists():
            piece.rename(aside.with_name(aside.name + end))
    return aside
