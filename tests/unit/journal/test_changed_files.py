"""Scans are reused for a file that is the same, and repeated for one that changed."""

from __future__ import annotations

import attrs
import pytest
from tests.unit.journal.samples import facts, numbers, scan, seen, stamp, states

from ctao_bdms.inbox import Stamp
from ctao_bdms.journal import FileState, Journal, Scanned, Tally


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


def test_other_device_is_another_file_unless_the_path_is_the_same(journal: Journal) -> None:
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
def test_changed_file_is_scanned_again(journal: Journal, other: Stamp) -> None:
    one = seen(1)
    journal.observe([one])
    journal.scanned([scan(one)])
    assert journal.observe([seen(1, stamp=other)]).again == 1
    assert numbers(journal) == [1]
    assert journal.facts(one.path) is None


def test_file_that_changed_before_its_scan_stays_due(journal: Journal) -> None:
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


def test_file_whose_time_was_put_back_is_scanned_again(journal: Journal) -> None:
    one = seen(1, stamp=attrs.evolve(stamp(1), changed_ns=70))
    journal.observe([one])
    journal.scanned([scan(one)])
    assert journal.observe([one]).known == 1
    assert journal.observe([seen(1, stamp=attrs.evolve(stamp(1), changed_ns=71))]).again == 1
    assert journal.facts(one.path) is None


def test_scan_of_a_file_with_another_status_is_rejected(journal: Journal) -> None:
    one = seen(1, stamp=attrs.evolve(stamp(1), changed_ns=70))
    journal.observe([one])
    said = attrs.evolve(scan(one).facts, inode=1, changed_ns=71)
    assert journal.scanned([Scanned(path=one.path, stamp=one.stamp or stamp(1), facts=said)]) == [one.path]


def test_file_changed_at_a_far_time_is_scanned_again(journal: Journal) -> None:
    far = Stamp(1, 7, 100, 2**70)
    journal.observe([seen(7, stamp=far)])
    journal.scanned([scan(seen(7, stamp=far))])
    assert journal.observe([seen(7, stamp=far)]).known == 1
    assert journal.observe([seen(7, stamp=Stamp(1, 7, 100, 2**70 + 1))]).again == 1
    assert states(journal) == {"found": 1}
