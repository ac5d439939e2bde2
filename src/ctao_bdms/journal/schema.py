"""The schema of the journal, and its migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.errors import JournalError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["APPLICATION_ID", "LACKING", "VERSION", "prepare"]

#: The SQLite application id of a journal: "BDMS".
APPLICATION_ID = 0x42444D53

#: The key of the creation time, in microseconds, of a journal that is not yet rebuilt from the catalogue.
LACKING = "lacking_us"

#: The schema version that this code reads and writes.
VERSION = 2

# An entry is `ready` for the next step of its state, unless it waits. Its indexes contain only such entries, so that
# the millions of files that are done do not slow down the search for the next file.
_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE writers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE blocks (id INTEGER PRIMARY KEY, scope TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (scope, name));
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    path NOT NULL UNIQUE,
    lfn TEXT,
    trigger_path,
    trigger_ns INTEGER NOT NULL DEFAULT 0,
    device INTEGER,
    inode INTEGER,
    size_bytes INTEGER NOT NULL DEFAULT 0,
    modified_ns INTEGER,
    night TEXT NOT NULL DEFAULT '',
    site TEXT NOT NULL DEFAULT '',
    category TEXT NOT NULL DEFAULT '',
    priority INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    cause TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_us INTEGER,
    why TEXT NOT NULL DEFAULT '',
    block INTEGER REFERENCES blocks (id),
    found_us INTEGER,
    scanned_us INTEGER,
    registered_us INTEGER,
    replicated_us INTEGER,
    thinned INTEGER NOT NULL DEFAULT 0,
    ready TEXT GENERATED ALWAYS AS (CASE WHEN cause = '' AND state IN ('found', 'scanned') THEN state END) VIRTUAL
);
CREATE INDEX entries_newest ON entries (ready, night DESC, id DESC) WHERE ready IS NOT NULL;
CREATE INDEX entries_oldest ON entries (ready, night, id) WHERE ready IS NOT NULL;
CREATE INDEX entries_priority ON entries (ready, priority DESC, night DESC, id DESC) WHERE ready IS NOT NULL;
CREATE INDEX entries_cause ON entries (cause, next_try_us) WHERE cause <> '';
CREATE INDEX entries_next_try ON entries (next_try_us) WHERE next_try_us IS NOT NULL;
CREATE INDEX entries_state ON entries (state);
CREATE INDEX entries_night ON entries (night);
CREATE INDEX entries_block ON entries (block) WHERE block IS NOT NULL;
CREATE INDEX entries_stamp ON entries (inode, modified_ns);
CREATE TABLE facts (entry INTEGER PRIMARY KEY REFERENCES entries (id), body BLOB NOT NULL);
CREATE TABLE events (
    entry INTEGER NOT NULL,
    number INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL,
    writer INTEGER NOT NULL REFERENCES writers (id),
    PRIMARY KEY (entry, number)
) WITHOUT ROWID;
CREATE TABLE tallies (
    night TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL,
    files INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (night, state, cause)
) WITHOUT ROWID;
CREATE TRIGGER entries_added AFTER INSERT ON entries BEGIN
    INSERT INTO tallies VALUES (new.night, new.state, new.cause, 1, new.size_bytes)
    ON CONFLICT DO UPDATE SET files = files + 1, size_bytes = size_bytes + excluded.size_bytes;
END;
CREATE TRIGGER entries_removed AFTER DELETE ON entries BEGIN
    UPDATE tallies SET files = files - 1, size_bytes = size_bytes - old.size_bytes
    WHERE night = old.night AND state = old.state AND cause = old.cause;
END;
CREATE TRIGGER entries_moved AFTER UPDATE OF night, state, cause, size_bytes ON entries BEGIN
    UPDATE tallies SET files = files - 1, size_bytes = size_bytes - old.size_bytes
    WHERE night = old.night AND state = old.state AND cause = old.cause;
    INSERT INTO tallies VALUES (new.night, new.state, new.cause, 1, new.size_bytes)
    ON CONFLICT DO UPDATE SET files = files + 1, size_bytes = size_bytes + excluded.size_bytes;
END;
"""

# Entries of older versions do not have this time: it is not compared for them.
_CHANGED = "ALTER TABLE entries ADD COLUMN changed_ns INTEGER;"

#: The migrations from version n - 1 to version n, for n = 1, 2, ...
_STEPS = (_FIRST, _CHANGED)


def prepare(connection: sqlite3.Connection, path: str, now_us: int) -> None:
    """Migrate an open journal to this schema version.

    An empty file may replace a lost journal: its creation time is stored until it is rebuilt from the catalogue.

    Raises
    ------
    JournalError
        If a newer version of the software wrote the file, or it is not a journal.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    is_empty: bool = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if not is_empty and application != APPLICATION_ID:
        raise JournalError(f"{path} is a database, but no journal of ctao-bdms; name another file")
    if version > VERSION:
        raise JournalError(
            f"the journal {path} has form {version}, and this version of ctao-bdms knows forms up to {VERSION}; "
            "use the version that wrote it, or a newer one"
        )
    if is_empty:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    lacking = f"INSERT INTO meta VALUES ('{LACKING}', {now_us});" if is_empty else ""
    for number in range(version + 1, VERSION + 1):
        # One script with its own transaction: the migration and its version number must be committed together.
        connection.executescript(
            f"BEGIN IMMEDIATE; {_STEPS[number - 1]} {lacking if number == VERSION else ''} "
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
        )
