"""The journal: records, queries, compaction, and recovery from damage."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.errors import (
    JournalCorruptError,
    JournalError,
    JournalUnavailableError,
    LeaseLostError,
    NotFoundError,
)
from ctao_bdms.inbox import LocalFile, Sighting, Stamp
from ctao_bdms.inbox.files import local_file
from ctao_bdms.journal import FileState, Journal, JournalReader, Order, Rejected, Scanned, Tally, Waiting
from ctao_bdms.journal.observing import NO_FILE
from ctao_bdms.model import ArchivedFile, Did, FileFacts, Lfn, Night, Replica, ReplicaState, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = dt.datetime(2026, 11, 22, 1, tzinfo=dt.UTC)
BLOCK = Did("acada", "/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261122T010000-0123abcd")
FOLDER = "/ctao/acada/DL0/LSTN-01/ctao-acada/acada-adh/events/2026/11/21"
LFN = FOLDER + "/TEL001_SDH0000_20261122T010203_SBID1_OBSID2_TEL_SHOWER_CHUNK{:03d}.fits.fz"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> dt.datetime:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(tmp_path / "state" / "journal.sqlite", by="daemon", now=clock)
    yield journal
    journal.close()


def stamp(number: int, *, size_bytes: int = 100, device: int = 1) -> Stamp:
    return Stamp(device, number, size_bytes, 1_000_000_000 + number)


def seen(number: int, night: str = "2026-11-21", **changes: object) -> Sighting:
    folder = night or "other"
    path = Path(f"/data/{folder}/{number:06d}.fits.fz")
    given: dict[str, object] = {
        "path": path,
        "lfn": Lfn(f"/ctao/acada/{folder}/{number:06d}.fits.fz"),
        "trigger": path.with_name(path.name + ".trigger"),
        "trigger_ns": 5_000_000_000,
        "stamp": stamp(number),
        "night": Night.parse(night) if night else None,
        "site": Site.NORTH,
    }
    return Sighting(**{**given, **changes})  # type: ignore[arg-type]


def facts(path: Path, of: Stamp) -> FileFacts:
    return FileFacts(
        path=str(path),
        size_bytes=of.size_bytes,
        modified_ns=of.modified_ns,
        digests={"adler32": f"{of.inode:08x}", "sha256": f"{of.inode:064x}"},
    )


def scan(sighting: Sighting) -> Scanned:
    assert sighting.stamp is not None
    return Scanned(path=sighting.path, stamp=sighting.stamp, facts=facts(sighting.path, sighting.stamp))


def states(journal: JournalReader) -> dict[str, int]:
    return {state.value: tally.files for state, tally in journal.tallies().items() if tally.files}


def numbers(journal: JournalReader, state: FileState = FileState.FOUND, limit: int = 100, **how: object) -> list[int]:
    due = journal.due(state, limit, **{"now": NOW, **how})  # type: ignore[arg-type]
    return [int(entry.path.name[:6]) for entry in due]


def test_a_file_goes_its_way(journal: Journal, clock: Clock) -> None:
    one = seen(1)
    observed = journal.observe([one])
    assert (observed.new, observed.again, observed.known) == (1, 0, 0)
    clock.pass_s(1)
    assert journal.scanned([scan(one)]) == []
    clock.pass_s(1)
    journal.registered([one.path], BLOCK)
    clock.pass_s(1)
    journal.replicated([entry.path for entry in journal.entries(block=BLOCK)])
    entry = journal.entry(one.path)
    assert entry is not None
    assert entry.state is FileState.REPLICATED
    assert (entry.path, entry.lfn, entry.trigger, entry.stamp) == (one.path, one.lfn, one.trigger, one.stamp)
    assert (entry.night, entry.site, entry.block, entry.size_bytes) == (one.night, one.site, BLOCK, 100)
    assert entry.triggered == dt.datetime(1970, 1, 1, 0, 0, 5, tzinfo=dt.UTC)
    steps = [entry.found, entry.scanned, entry.registered, entry.replicated]
    assert steps == [NOW + dt.timedelta(seconds=s) for s in range(4)]
    assert journal.facts(one.path) == scan(one).facts
    events = journal.events(one.path)
    assert [event.event for event in events] == ["found", "scanned", "registered", "replicated"]
    assert {event.by for event in events} == {"daemon"}
    assert [event.time for event in events] == steps


def test_all_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    one, two = seen(1), seen(2)
    with Journal(path, by="first", now=clock) as journal:
        begun = journal.lacking_since
        assert begun is not None
        journal.observe([one, two])
        journal.scanned([scan(one)])
    with Journal(path, by="second", now=clock) as journal:
        assert journal.lacking_since == begun
        assert journal.damaged is None
        assert states(journal) == {"found": 1, "scanned": 1}
        assert journal.facts(one.path) == scan(one).facts
        assert journal.observe([one, two]).known == 2
        assert numbers(journal, FileState.SCANNED) == [1]
        journal.scanned([scan(two)])
        assert [event.by for event in journal.events(two.path)] == ["first", "second"]


def test_writes_are_idempotent(journal: Journal) -> None:
    one, bad = seen(1), seen(2)
    for _ in range(2):
        journal.observe([one, bad])
        journal.scanned([scan(one)])
        journal.quarantined([Rejected(path=bad.path, why="empty")])
    for _ in range(2):
        journal.registered([one.path], BLOCK)
        journal.withdrawn([one.path, bad.path])
        journal.replicated([entry.path for entry in journal.entries(block=BLOCK)])
    assert states(journal) == {"replicated": 1, "quarantined": 1}
    assert [event.event for event in journal.events(one.path)].count("registered") == 1
    assert [event.event for event in journal.events(bad.path)].count("quarantined") == 1


def test_facts_are_reused_under_another_name(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    renamed = seen(2, stamp=one.stamp)
    journal.observe([renamed])
    assert numbers(journal, FileState.SCANNED) == [2, 1]
    known = journal.facts(renamed.path)
    assert known is not None
    assert known.digests == scan(one).facts.digests
    assert str(one.path) in journal.events(renamed.path)[-1].detail


def test_another_device_is_another_file_unless_the_path_is_the_same(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    mounted_anew = stamp(1, device=77)
    assert journal.observe([seen(1, stamp=mounted_anew)]).known == 1
    assert journal.observe([seen(2, stamp=mounted_anew)]).new == 1
    assert numbers(journal, FileState.SCANNED) == [1]


@pytest.mark.parametrize(
    "other", [stamp(9), stamp(1, size_bytes=101), Stamp(1, 1, 100, 5)], ids=["inode", "size", "time"]
)
def test_a_changed_file_is_read_again(journal: Journal, other: Stamp) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    assert journal.observe([seen(1, stamp=other)]).again == 1
    assert numbers(journal) == [1]
    assert journal.facts(one.path) is None


def test_a_file_that_changed_before_its_scan_stays_due(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    later = Scanned(path=one.path, stamp=stamp(1, size_bytes=50), facts=scan(one).facts)
    assert journal.scanned([later]) == [one.path]
    assert numbers(journal) == [1]
    grown = stamp(1, size_bytes=200)
    journal.scanned([Scanned(path=one.path, stamp=grown, facts=facts(one.path, grown))])
    entry = journal.entry(one.path)
    assert entry is not None
    assert entry.stamp == grown
    assert journal.tallies()[FileState.SCANNED] == Tally(1, 200)


def test_a_trigger_without_a_file_waits_for_it(journal: Journal) -> None:
    early = seen(1, stamp=None)
    journal.observe([early])
    assert numbers(journal) == []
    assert journal.waiting() == {NO_FILE: Tally(1, 0)}
    assert journal.observe([early]).known == 1
    assert journal.observe([seen(1)]).again == 1
    assert numbers(journal) == [1]


def test_a_file_that_hides_for_a_while_is_not_read_again(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    journal.observe([seen(1, stamp=None)])
    assert numbers(journal) == numbers(journal, FileState.SCANNED) == []
    journal.observe([one])
    assert numbers(journal, FileState.SCANNED) == [1]
    assert journal.waiting() == {}


def test_new_trigger_of_a_registered_file_ingests_it_again(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    journal.registered([one.path], BLOCK)
    assert journal.observe([one]).known == 1, "the trigger was listed before it was removed"
    journal.observe([seen(1, trigger_ns=6_000_000_000)])
    assert numbers(journal, FileState.SCANNED) == [1]
    journal.registered([one.path], None)
    entry = journal.entry(one.path)
    assert entry is not None
    assert entry.block == BLOCK


def test_a_quarantined_file_is_read_again_when_its_trigger_is_a_new_one(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    journal.quarantined([Rejected(path=one.path, why="corrupt: HDU 1", case=Path("/data.quarantine/case"))])
    assert journal.observe([one]).known == 1
    assert "/data.quarantine/case" in journal.events(one.path)[-1].detail
    journal.observe([seen(1, trigger_ns=6_000_000_000)])
    assert numbers(journal) == [1]


def test_a_withdrawn_file_comes_back(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    journal.withdrawn([one.path])
    assert states(journal) == {"withdrawn": 1}
    assert numbers(journal) == numbers(journal, FileState.SCANNED) == []
    journal.observe([one])
    assert numbers(journal, FileState.SCANNED) == [1]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.NEWEST_NIGHT, [5, 3, 2, 4, 1]),
        (Order.OLDEST, [1, 4, 2, 3, 5]),
        (Order.PRIORITY, [4, 5, 3, 2, 1]),
    ],
)
def test_orders(journal: Journal, order: Order, expected: list[int]) -> None:
    journal.observe([seen(1, "2026-11-19"), seen(2), seen(3), seen(4, "2026-11-20", priority=3), seen(5, "2026-11-22")])
    assert numbers(journal, order=order) == expected
    assert numbers(journal, order=order, limit=2) == expected[:2]
    busy = [entry.path for entry in journal.due(FileState.FOUND, 2, now=NOW, order=order)]
    assert numbers(journal, order=order, limit=2, without=busy) == expected[2:4]
    journal.waits([Waiting(path=path, cause="storage", why="EIO", next_try=NOW) for path in busy])
    assert numbers(journal, order=order) == expected, "those whose time has come take their old place"


def test_files_without_a_night_come_last(journal: Journal) -> None:
    journal.observe([seen(1, ""), seen(2, "2001-01-01")])
    journal.waits([Waiting(path=seen(n, night).path, cause="c", why="", next_try=NOW) for n, night in ((1, ""),)])
    assert numbers(journal) == [2, 1]


def test_waiting_for_a_time(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    later = NOW + dt.timedelta(seconds=30)
    journal.waits([Waiting(path=one.path, cause="storage", why="Input/output error", next_try=later)])
    assert numbers(journal) == []
    assert numbers(journal, now=later) == [1]
    entry = journal.entry(one.path)
    assert entry is not None
    assert (entry.cause, entry.attempts, entry.next_try, entry.why) == ("storage", 1, later, "Input/output error")
    assert entry.state is FileState.FOUND
    journal.scanned([scan(one)])
    entry = journal.entry(one.path)
    assert entry is not None
    assert (entry.cause, entry.attempts, entry.next_try, entry.why) == ("", 0, None, "")


def test_no_clock_makes_a_file_wait_for_ever(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.waits([Waiting(path=one.path, cause="c", why="", next_try=NOW + dt.timedelta(days=400))])
    entry = journal.entry(one.path)
    assert entry is not None
    assert entry.next_try == NOW + dt.timedelta(hours=1)
    assert numbers(journal, now=NOW - dt.timedelta(days=30)) == [1], "the clock was set back"


def test_a_wait_that_a_fast_clock_wrote_is_no_longer_than_any(tmp_path: Path) -> None:
    clock = Clock()
    with Journal(tmp_path / "journal.sqlite", by="daemon", now=clock, longest_wait_s=lambda: 60.0) as journal:
        one = seen(1)
        journal.observe([one])

        def wait(seconds: float, *, ahead_s: float) -> list[int]:
            clock.time = NOW + dt.timedelta(seconds=ahead_s)
            until = clock.time + dt.timedelta(seconds=seconds)
            journal.waits([Waiting(path=one.path, cause="c", why="", next_try=until)])
            return numbers(journal, now=NOW)

        assert wait(3600, ahead_s=0) == []
        assert wait(3600, ahead_s=1) == [1], "the clock is right again"
        assert wait(30, ahead_s=3000) == [1]
        assert wait(10, ahead_s=20) == []
        assert numbers(journal, now=NOW + dt.timedelta(seconds=30)) == [1]


def test_a_cause_that_has_gone_makes_its_files_due(journal: Journal) -> None:
    files = [seen(n) for n in range(4)]
    journal.observe(files)
    later = NOW + dt.timedelta(minutes=9)
    journal.waits([Waiting(path=file.path, cause="storage", why="", next_try=later) for file in files[:2]])
    journal.waits([Waiting(path=files[2].path, cause="worker", why="", next_try=later)])
    for _ in range(3):
        journal.waits([Waiting(path=files[3].path, cause="storage", why="bad sector", next_try=later)])
    assert journal.resume("storage") == 2
    assert numbers(journal) == [1, 0]
    assert journal.waiting() == {"storage": Tally(1, 100), "worker": Tally(1, 100)}


def test_a_long_outage_does_not_fill_the_history(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    for _ in range(50):
        journal.waits([Waiting(path=one.path, cause="catalogue", why="no answer")])
    assert [event.event for event in journal.events(one.path)] == ["found", "waiting"]


def test_tallies_follow_files_and_bytes(journal: Journal) -> None:
    nights = ["2026-11-20", "2026-11-21"]
    files = [seen(n, nights[n % 2], stamp=stamp(n, size_bytes=10**n)) for n in range(6)]
    journal.observe(files)
    journal.scanned(map(scan, files[:4]))
    journal.registered([files[0].path, files[1].path], BLOCK)
    assert journal.tallies()[FileState.REGISTERED] == Tally(2, 11)
    assert journal.tallies()[FileState.SCANNED] == Tally(2, 1100)
    assert journal.tallies(Night.parse("2026-11-20"))[FileState.FOUND] == Tally(1, 10_000)
    assert set(journal.tallies()) == set(FileState)
    by_night = journal.nights()
    assert [str(night) for night in by_night] == nights
    assert sum(by_night[Night.parse("2026-11-21")].values(), Tally()) == Tally(3, 10 + 1000 + 100_000)
    assert journal.blocks(FileState.REGISTERED) == [BLOCK]
    assert journal.blocks(FileState.REPLICATED) == []


def test_entries_are_chosen(journal: Journal) -> None:
    journal.observe([seen(n, f"2026-11-2{n % 2}") for n in range(2500)])
    journal.registered([seen(7, "2026-11-21").path], BLOCK)
    assert len(list(journal.entries())) == 2500
    assert len(list(journal.entries(night=Night.parse("2026-11-20")))) == 1250
    assert [entry.file for entry in journal.entries(state=FileState.REGISTERED)] == ["000007.fits.fz"]
    assert [entry.file for entry in journal.entries(block=BLOCK)] == ["000007.fits.fz"]
    assert [entry.file for entry in journal.entries(path="*/00123[45].fits*")] == ["001234.fits.fz", "001235.fits.fz"]
    assert not list(journal.entries(waiting=True))


def test_names_that_are_no_text(journal: Journal, tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\xff\xfe.fits.fz"))
    path.write_bytes(b"x")
    trigger = path.with_name(path.name + ".trigger")
    trigger.touch()
    sighting = Sighting.of(LocalFile(path=path, trigger=trigger, stamp=Stamp.of(path)))
    journal.observe([sighting])
    (entry,) = journal.due(FileState.FOUND, 1, now=NOW)
    assert (entry.path, entry.trigger, entry.stamp) == (path, trigger, Stamp.of(path))
    journal.quarantined([Rejected(path=path, why=f"{path} has no name", case=path)])
    assert "\\udcff" in journal.events(path)[-1].detail


def test_numbers_of_64_bits(journal: Journal) -> None:
    large = Stamp(2**64 - 1, 2**63, 100, 7)
    journal.observe([seen(1, stamp=large)])
    entry = journal.entry(seen(1).path)
    assert entry is not None
    assert entry.stamp == large


def test_a_sighting_reads_night_and_site_from_the_name(tmp_path: Path) -> None:
    lfn = Lfn(LFN.format(3))
    path = tmp_path / "file"
    sighting = Sighting.of(LocalFile(path=path, lfn=lfn, trigger=tmp_path / "file.trigger"))
    assert (sighting.night, sighting.site) == (Night.parse("2026-11-21"), Site.NORTH)
    assert (sighting.stamp, sighting.trigger_ns, sighting.priority) == (None, 0, 2), "events come first"
    path.write_bytes(b"12345")
    (tmp_path / "file.trigger").touch()
    sighting = Sighting.of(local_file(path, tmp_path / "file.trigger", tmp_path), site=Site.SOUTH)
    assert (sighting.night, sighting.site) == (None, Site.SOUTH)
    assert sighting.stamp is not None
    assert sighting.stamp.size_bytes == 5
    assert sighting.trigger_ns == (tmp_path / "file.trigger").stat().st_mtime_ns


def test_all_or_nothing(journal: Journal) -> None:
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


def test_a_full_disk_writes_nothing_and_passes(journal: Journal) -> None:
    journal.observe(seen(n) for n in range(50))
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalUnavailableError, match="full") as caught:
        journal.observe(seen(n) for n in range(50, 5000))
    assert caught.value.transient
    assert states(journal) == {"found": 50}
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    assert journal.observe(seen(n) for n in range(5000)).new == 4950


def test_a_reader_sees_while_the_daemon_writes(journal: Journal) -> None:
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


def test_a_newer_form_is_refused(tmp_path: Path, clock: Clock) -> None:
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
def test_a_damaged_journal_is_kept_and_begun_anew(
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


def test_damage_after_damage_keeps_each(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    for _ in range(2):
        path.write_bytes(b"\0garbage" * 1000)
        Journal(path, by="daemon", now=clock).close()
    assert len(list(tmp_path.glob("*.damaged-*"))) == 2


def test_an_empty_file_is_a_new_journal(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    _filled(path, clock)
    os.truncate(path, 0)
    with Journal(path, by="daemon", now=clock) as journal:
        assert journal.lacking_since is not None


def test_a_lost_log_loses_the_last_moments_only(tmp_path: Path, clock: Clock) -> None:
    path, copy = tmp_path / "journal.sqlite", tmp_path / "copy.sqlite"
    _filled(path, clock)
    with Journal(path, by="daemon", now=clock) as journal:
        journal.observe([seen(5000)])
        copy.write_bytes(path.read_bytes())
        assert path.with_name(path.name + "-wal").stat().st_size > 0
    with Journal(copy, by="daemon", now=clock) as journal:
        assert journal.damaged is None
        assert states(journal) == {"found": 2000, "scanned": 1000}


def test_rebuilt_from_triggers_and_catalogue(journal: Journal) -> None:
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


def _done(journal: Journal, files: list[Sighting], block: Did = BLOCK) -> None:
    journal.observe(files)
    journal.scanned(map(scan, files))
    journal.registered([file.path for file in files], block)
    journal.replicated([entry.path for entry in journal.entries(block=block)])


def test_compaction_keeps_blocks_digests_and_times(journal: Journal, clock: Clock) -> None:
    old, mixed = [seen(n, "2026-11-01") for n in range(3)], [seen(n, "2026-11-02") for n in range(3, 6)]
    _done(journal, old)
    _done(journal, mixed[:2])
    journal.observe(mixed)
    clock.pass_s(86400)
    assert journal.compact(thin_before=NOW) == 0, "not yet"
    assert journal.compact(thin_before=clock()) == 3
    assert journal.compact(thin_before=clock()) == 0
    (event,) = journal.events(old[0].path)
    assert (event.event, event.detail) == ("thinned", "found scanned registered replicated")
    assert journal.facts(old[0].path) is None
    assert journal.facts(mixed[0].path) is not None, "a file of that night is still on its way"
    entry = journal.entry(old[0].path)
    assert entry is not None
    assert entry.registered == NOW
    assert journal.observe(old).known == 3
    assert journal.compact(thin_before=clock(), forget_before=clock()) == 3
    assert states(journal) == {"replicated": 2, "found": 1}
    assert journal.events(old[0].path) == []


def test_a_night_is_bounded(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    files = [
        seen(n, path=Path("/data/onsite" + LFN.format(n)), lfn=Lfn(LFN.format(n)), trigger=Path(f"/data/{n}.trigger"))
        for n in range(5000)
    ]
    with Journal(path, by="daemon", now=clock) as journal:
        _done(journal, files)
        journal.compact(thin_before=clock())
        full = path.stat().st_size / len(files)
        clock.pass_s(1)
        journal.compact(thin_before=clock())
        thinned = path.stat().st_size / len(files)
        journal.compact(thin_before=clock(), forget_before=clock())
        assert path.stat().st_size < 200_000
    assert thinned < 1000 < full < 2000, "bytes an entry"


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


def test_how_long_the_last_copy_took(journal: Journal) -> None:
    one, other = seen(1), seen(2, trigger_ns=0)
    journal.observe([one, other])
    journal.scanned([scan(one), scan(other)])
    journal.registered([one.path, other.path], BLOCK)
    assert list(journal.lags_s(Night.parse("2000-01-01"))) == []
    journal.replicated([entry.path for entry in journal.entries(block=BLOCK)])
    (entry,) = (entry for entry in journal.entries() if entry.path == one.path)
    assert entry.replicated is not None
    assert entry.triggered is not None
    expected = max(0.0, (entry.replicated - entry.triggered).total_seconds())
    assert list(journal.lags_s(Night.parse("2000-01-01"))) == [pytest.approx(expected, abs=1e-3)]
    assert list(journal.lags_s(Night.parse("2100-01-01"))) == []


def test_journal_of_the_first_form_is_taken_over(tmp_path: Path, clock: Clock) -> None:
    """It does not say when the status of a file changed: then that is not compared, and nothing is read again."""
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


def test_file_whose_time_was_put_back_is_read_again(journal: Journal) -> None:
    one = seen(1, stamp=attrs.evolve(stamp(1), changed_ns=70))
    journal.observe([one])
    journal.scanned([scan(one)])
    assert journal.observe([one]).known == 1
    assert journal.observe([seen(1, stamp=attrs.evolve(stamp(1), changed_ns=71))]).again == 1
    assert journal.facts(one.path) is None


def test_facts_of_a_file_with_another_status_are_not_taken(journal: Journal) -> None:
    one = seen(1, stamp=attrs.evolve(stamp(1), changed_ns=70))
    journal.observe([one])
    said = attrs.evolve(scan(one).facts, inode=1, changed_ns=71)
    assert journal.scanned([Scanned(path=one.path, stamp=one.stamp or stamp(1), facts=said)]) == [one.path]


def test_sizes_that_64_bits_cannot_add_are_counted(journal: Journal) -> None:
    big = 2**63 - 1
    for number, night in enumerate(["2026-11-21", "2026-11-22", "2026-11-23", ""]):
        journal.observe([seen(number, night, stamp=stamp(number, size_bytes=big))])
    assert journal.tallies()[FileState.FOUND].files == 4
    journal.waits([Waiting(path=entry.path, cause="storage", why="?") for entry in journal.entries()])
    assert journal.waiting()["storage"].files == 4
    assert len(journal.nights()) == 3
    journal.withdrawn([entry.path for entry in journal.entries()])
    assert journal.tallies()[FileState.FOUND].files == 0
    assert journal.tallies()[FileState.FOUND].size_bytes == 0


def test_file_that_changed_at_a_far_time_is_read_again(journal: Journal) -> None:
    far = Stamp(1, 7, 100, 2**70)
    journal.observe([seen(7, stamp=far)])
    journal.scanned([scan(seen(7, stamp=far))])
    assert journal.observe([seen(7, stamp=far)]).known == 1
    assert journal.observe([seen(7, stamp=Stamp(1, 7, 100, 2**70 + 1))]).again == 1
    assert states(journal) == {"found": 1}
