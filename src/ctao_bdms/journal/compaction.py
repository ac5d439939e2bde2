"""Compact the journal, and rebuild its entries from the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.journal.columns import to_column
from ctao_bdms.journal.database import converted
from ctao_bdms.journal.records import FileState
from ctao_bdms.naming import AcadaPath, BlockName, is_block, path_of_lfn

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from ctao_bdms.journal.writing import Transaction
    from ctao_bdms.model import ArchivedFile

__all__ = ["complete_nights", "forget", "rebuild_entry", "shrink_file", "thin"]


def complete_nights(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Return the nights without files in progress, and "" for files without a night."""
    with converted(path):
        rows = connection.execute(
            "SELECT night FROM tallies GROUP BY night "
            "HAVING night = '' OR sum(files * (state IN ('found', 'scanned', 'registered'))) = 0"
        ).fetchall()
    return [night for (night,) in rows]


def thin(work: Transaction, night: str, before_us: int, limit: int) -> int:
    """Merge the events of replicated files, and drop their facts; return their number."""
    rows = work.run(
        "SELECT id FROM entries WHERE night = ? AND state = 'replicated' AND thinned = 0 AND replicated_us < ? LIMIT ?",
        *(night, before_us, limit),
    )
    for (number,) in rows:
        history = work.run("SELECT event FROM events WHERE entry = ? ORDER BY number", number)
        work.run("DELETE FROM events WHERE entry = ?", number)
        work.run("DELETE FROM facts WHERE entry = ?", number)
        work.run("UPDATE entries SET thinned = 1 WHERE id = ?", number)
        work.event(number, "thinned", " ".join(event for (event,) in history))
    return len(rows)


def forget(work: Transaction, night: str, before_us: int, limit: int) -> int:
    """Remove old entries of replicated or withdrawn files; return their number."""
    rows = work.run(
        "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE night = :night AND "
        "((state = 'replicated' AND replicated_us < :before_us) OR (state = 'withdrawn' AND found_us < :before_us)) "
        "LIMIT :limit) RETURNING id",
        night=night,
        before_us=before_us,
        limit=limit,
    )
    for (number,) in rows:
        work.run("DELETE FROM events WHERE entry = ?", number)
        work.run("DELETE FROM facts WHERE entry = ?", number)
    return len(rows)


def shrink_file(connection: sqlite3.Connection, path: Path) -> None:
    """Shrink the database file to the size that it needs."""
    with converted(path):
        connection.execute("DELETE FROM tallies WHERE files = 0")
        connection.execute("DELETE FROM blocks WHERE id NOT IN (SELECT block FROM entries WHERE block IS NOT NULL)")
        # It frees one page a step without returning rows: execute() would stop after the first page.
        connection.executescript("PRAGMA incremental_vacuum")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def rebuild_entry(work: Transaction, file: ArchivedFile, rse: str, root: Path) -> None:
    """Add the entry of a file in the catalogue, unless the journal has its path."""
    if all(replica.rse != rse for replica in file.replicas):
        return
    block = next((did for did in sorted(file.datasets, key=str) if is_block(did.name)), None)
    night = site = ""
    number = None
    if block is not None:
        name = BlockName.parse(block.name)
        night, site = str(name.night), str(name.site)
        work.run("INSERT OR IGNORE INTO blocks (scope, name) VALUES (?, ?)", block.scope, block.name)
        ((number,),) = work.run("SELECT id FROM blocks WHERE scope = ? AND name = ?", block.scope, block.name)
    else:
        try:
            night = str(AcadaPath.parse(file.lfn).night)
        except InvalidNameError:
            night = ""
    rows = work.run(
        "INSERT OR IGNORE INTO entries (path, lfn, size_bytes, night, site, state, block) "
        "VALUES (?, ?, ?, ?, ?, 'registered', ?) RETURNING id",
        *(to_column(str(path_of_lfn(file.lfn, root))), file.lfn.text, file.size_bytes, night, site, number),
    )
    for (entry,) in rows:
        work.event(entry, FileState.REGISTERED, "the catalogue had it when the journal was begun anew")
