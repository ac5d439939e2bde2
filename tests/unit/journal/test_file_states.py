"""The states of a file in the journal."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from tests.unit.journal.samples import BLOCK, LFN, NOW, Clock, numbers, scan, seen, states

from ctao_bdms.inbox import LocalFile, Sighting, Stamp
from ctao_bdms.inbox.files import local_file
from ctao_bdms.journal import FileState, Journal, Rejected, Tally
from ctao_bdms.journal.observing import NO_FILE
from ctao_bdms.model import Lfn, Night, Site


def test_file_passes_through_all_states(journal: Journal, clock: Clock) -> None:
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


def test_entries_survive_a_restart(tmp_path: Path, clock: Clock) -> None:
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


def test_trigger_waits_for_its_file(journal: Journal) -> None:
    early = seen(1, stamp=None)
    journal.observe([early])
    assert numbers(journal) == []
    assert journal.waiting() == {NO_FILE: Tally(1, 0)}
    assert journal.observe([early]).known == 1
    assert journal.observe([seen(1)]).again == 1
    assert numbers(journal) == [1]


def test_file_that_was_missing_for_a_while_is_not_scanned_again(journal: Journal) -> None:
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


def test_new_trigger_of_a_quarantined_file_scans_it_again(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    journal.quarantined([Rejected(path=one.path, why="corrupt: HDU 1", case=Path("/data.quarantine/case"))])
    assert journal.observe([one]).known == 1
    assert "/data.quarantine/case" in journal.events(one.path)[-1].detail
    journal.observe([seen(1, trigger_ns=6_000_000_000)])
    assert numbers(journal) == [1]


def test_withdrawn_file_can_return(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    journal.withdrawn([one.path])
    assert states(journal) == {"withdrawn": 1}
    assert numbers(journal) == numbers(journal, FileState.SCANNED) == []
    journal.observe([one])
    assert numbers(journal, FileState.SCANNED) == [1]


def test_name_that_is_not_utf8_is_kept(journal: Journal, tmp_path: Path) -> None:
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


def test_64_bit_inode_numbers_are_kept(journal: Journal) -> None:
    large = Stamp(2**64 - 1, 2**63, 100, 7)
    journal.observe([seen(1, stamp=large)])
    entry = journal.entry(seen(1).path)
    assert entry is not None
    assert entry.stamp == large


def test_sighting_takes_night_and_site_from_the_name(tmp_path: Path) -> None:
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
