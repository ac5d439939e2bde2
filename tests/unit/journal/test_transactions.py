"""Writes are complete or absent; one writer holds the journal."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from tests.unit.journal.samples import BLOCK, Clock, scan, seen, states

from ctao_bdms.errors import (
    JournalUnavailableError,
    LeaseLostError,
)
from ctao_bdms.journal import Journal, JournalReader

if TYPE_CHECKING:
    from pathlib import Path


def test_failed_write_changes_nothing(journal: Journal) -> None:
    def then_fails() -> object:
        yield seen(1)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        journal.observe(then_fails())  # type: ignore[arg-type]
    journal.observe([seen(1), seen(2)])

    def scans() -> object:
        yield scan(seen(1))
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        journal.scanned(scans())  # type: ignore[arg-type]
    assert states(journal) == {"found": 2}


def test_full_disk_writes_nothing_and_is_transient(journal: Journal) -> None:
    journal.observe(seen(n) for n in range(50))
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalUnavailableError, match="full") as caught:
        journal.observe(seen(n) for n in range(50, 5000))
    assert caught.value.transient
    assert states(journal) == {"found": 50}
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    assert journal.observe(seen(n) for n in range(5000)).new == 4950


def test_reader_reads_while_the_daemon_writes(journal: Journal) -> None:
    with JournalReader(journal.path) as reader:
        assert states(reader) == {}
        journal.observe([seen(1)])
        assert states(reader) == {"found": 1}
        slow = reader.entries()
        assert next(slow).path == seen(1).path
        journal.observe(seen(n) for n in range(2, 3000))
        assert len(list(slow)) == 0 or states(reader) == {"found": 2999}
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM entries")
        assert reader.size_bytes > 100_000


def test_replaced_writer_cannot_write(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path, by="old", now=clock, fence=3) as old:
        old.observe([seen(1)])
        with Journal(path, by="new", now=clock, fence=4) as new:
            for write in (
                lambda: old.observe([seen(2)]),
                lambda: old.scanned([scan(seen(1))]),
                lambda: old.registered([seen(1).path], BLOCK),
                lambda: old.resume("catalogue"),
            ):
                with pytest.raises(LeaseLostError, match="lease 3 of this process has been replaced by lease 4"):
                    write()
            assert states(new) == {"found": 1}
            new.scanned([scan(seen(1))])
    with pytest.raises(LeaseLostError):
        Journal(path, by="old", now=clock, fence=3)
