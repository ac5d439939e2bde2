"""Journal files that are damaged, empty, of another form, or no journal at all."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from tests.unit.journal.samples import BLOCK, LFN, Clock, scan, seen, stamp, states

from ctao_bdms.errors import (
    JournalCorruptError,
    JournalError,
    NotFoundError,
)
from ctao_bdms.journal import Journal, JournalReader
from ctao_bdms.model import ArchivedFile, Did, Lfn, Night, Replica, ReplicaState, Site


def test_reader_rejects_a_file_that_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no journal at"):
        JournalReader(tmp_path / "none")
    (tmp_path / "text").write_text("not a database, but long enough to be one" * 100)
    with pytest.raises(JournalCorruptError):
        JournalReader(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE x (y)")
    other.close()
    with pytest.raises(JournalError, match="no journal of ctao-bdms"):
        JournalReader(tmp_path / "other")
    with pytest.raises(JournalError, match="no journal of ctao-bdms"):
        Journal(tmp_path / "other", by="daemon", now=Clock())


def test_newer_form_is_refused(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path, by="daemon", now=clock).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="has form 99, and this version of ctao-bdms knows forms up to"):
        Journal(path, by="daemon", now=clock)
    with pytest.raises(JournalError, match="has form 99"):
        JournalReader(path)


def _filled(path: Path, clock: Clock) -> None:
    with Journal(path, by="daemon", now=clock) as journal:
        journal.observe(seen(n) for n in range(3000))
        journal.scanned(scan(seen(n)) for n in range(1000))


def _overwrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:200_000] = bytes(200_000 - 4096)
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096 + 100)


def _replace(path: Path) -> None:
    path.write_bytes(b"\0garbage" * 10_000)


@pytest.mark.parametrize("damage", [_overwrite, _truncate, _replace])
def test_damaged_journal_is_kept_and_a_new_one_is_made(
    tmp_path: Path, clock: Clock, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite"
    _filled(path, clock)
    damage(path)  # type: ignore[operator]
    before = path.read_bytes()
    with Journal(path, by="daemon", now=clock) as journal:
        assert journal.lacking_since is not None
        assert journal.damaged == tmp_path / "journal.sqlite.damaged-20261122T010000Z"
        assert journal.damaged.read_bytes() == before
        assert states(journal) == {}
        assert journal.observe([seen(1)]).new == 1
    assert "is damaged" in caplog.text


def test_each_damaged_journal_is_kept(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    for _ in range(2):
        path.write_bytes(b"\0garbage" * 1000)
        Journal(path, by="daemon", now=clock).close()
    assert len(list(tmp_path.glob("*.damaged-*"))) == 2


def test_empty_file_is_a_new_journal(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    _filled(path, clock)
    os.truncate(path, 0)
    with Journal(path, by="daemon", now=clock) as journal:
        assert journal.lacking_since is not None


def test_lost_write_ahead_log_loses_the_last_writes_only(tmp_path: Path, clock: Clock) -> None:
    path, copy = tmp_path / "journal.sqlite", tmp_path / "copy.sqlite"
    _filled(path, clock)
    with Journal(path, by="daemon", now=clock) as journal:
        journal.observe([seen(5000)])
        copy.write_bytes(path.read_bytes())
        assert path.with_name(path.name + "-wal").stat().st_size > 0
    with Journal(copy, by="daemon", now=clock) as journal:
        assert journal.damaged is None
        assert states(journal) == {"found": 2000, "scanned": 1000}


def test_journal_is_rebuilt_from_triggers_and_catalogue(journal: Journal) -> None:
    def archived(number: int, *, block: bool = True, rse: str = "NORTH") -> ArchivedFile:
        lfn = Lfn(LFN.format(number))
        return ArchivedFile(
            lfn=lfn,
            size_bytes=7,
            adler32="00000001",
            replicas=(Replica(rse=rse, state=ReplicaState.AVAILABLE, pfn=f"file://localhost/data{lfn}"),),
            datasets=frozenset({BLOCK} if block else {Did("acada", "/ctao/acada/DL0/LSTN-01")}),
        )

    standing = seen(1, path=Path("/data" + LFN.format(1)))
    archive = [archived(1), archived(2), archived(3, block=False), archived(4, rse="PIC")]
    for _ in range(2):
        journal.rebuild([standing], archive, "NORTH", Path("/data"))
    assert states(journal) == {"found": 1, "registered": 2}
    entry = journal.entry(Path("/data" + LFN.format(2)))
    assert entry is not None
    assert (entry.block, entry.night, entry.site, entry.stamp) == (BLOCK, Night.parse("2026-11-21"), Site.NORTH, None)
    journal.replicated([entry.path for entry in journal.entries(block=BLOCK)])
    assert states(journal) == {"found": 1, "registered": 1, "replicated": 1}


def test_journal_of_the_first_form_is_upgraded(tmp_path: Path, clock: Clock) -> None:
    """It lacks the time of the last status change: that is not compared then, and nothing is scanned again."""
    path = tmp_path / "journal.sqlite"
    one = seen(1, stamp=attrs.evolve(stamp(1), changed_ns=None))
    with Journal(path, by="daemon", now=clock) as journal:
        journal.observe([one])
        journal.scanned([scan(one)])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("ALTER TABLE entries DROP COLUMN changed_ns; PRAGMA user_version = 1")
    with pytest.raises(JournalError, match="has form 1"):
        JournalReader(path)
    with Journal(path, by="daemon", now=clock) as journal:
        told = seen(1, stamp=attrs.evolve(stamp(1), changed_ns=77))
        assert journal.observe([told]).known == 1
        assert journal.facts(one.path) is not None
        changed = seen(1, stamp=attrs.evolve(stamp(1), changed_ns=77, modified_ns=3))
        assert journal.observe([changed]).again == 1
