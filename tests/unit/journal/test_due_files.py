"""The order of due files, and how long they wait."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.unit.journal.samples import NOW, Clock, numbers, scan, seen

from ctao_bdms.journal import FileState, Journal, Order, Tally, Waiting

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.NEWEST_NIGHT, [5, 3, 2, 4, 1]),
        (Order.OLDEST, [1, 4, 2, 3, 5]),
        (Order.PRIORITY, [4, 5, 3, 2, 1]),
    ],
)
def test_due_files_come_in_the_order_of_the_setting(journal: Journal, order: Order, expected: list[int]) -> None:
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


def test_file_is_due_again_at_its_next_try(journal: Journal) -> None:
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


def test_wait_is_bounded_whatever_the_clock(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    journal.waits([Waiting(path=one.path, cause="c", why="", next_try=NOW + dt.timedelta(days=400))])
    entry = journal.entry(one.path)
    assert entry is not None
    assert entry.next_try == NOW + dt.timedelta(hours=1)
    assert numbers(journal, now=NOW - dt.timedelta(days=30)) == [1], "the clock was set back"


def test_wait_written_by_a_fast_clock_is_bounded(tmp_path: Path) -> None:
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


def test_files_are_due_when_their_cause_is_resolved(journal: Journal) -> None:
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


def test_long_outage_writes_one_event(journal: Journal) -> None:
    one = seen(1)
    journal.observe([one])
    for _ in range(50):
        journal.waits([Waiting(path=one.path, cause="catalogue", why="no answer")])
    assert [event.event for event in journal.events(one.path)] == ["found", "waiting"]
