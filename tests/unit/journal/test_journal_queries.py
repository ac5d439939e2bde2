"""Tallies, entries and lags that the journal reports."""

from __future__ import annotations

import pytest
from tests.unit.journal.samples import BLOCK, scan, seen, stamp

from ctao_bdms.journal import FileState, Journal, Tally, Waiting
from ctao_bdms.model import Night


def test_tallies_count_files_and_bytes(journal: Journal) -> None:
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


def test_entries_are_filtered(journal: Journal) -> None:
    journal.observe([seen(n, f"2026-11-2{n % 2}") for n in range(2500)])
    journal.registered([seen(7, "2026-11-21").path], BLOCK)
    assert len(list(journal.entries())) == 2500
    assert len(list(journal.entries(night=Night.parse("2026-11-20")))) == 1250
    assert [entry.file for entry in journal.entries(state=FileState.REGISTERED)] == ["000007.fits.fz"]
    assert [entry.file for entry in journal.entries(block=BLOCK)] == ["000007.fits.fz"]
    assert [entry.file for entry in journal.entries(path="*/00123[45].fits*")] == ["001234.fits.fz", "001235.fits.fz"]
    assert not list(journal.entries(waiting=True))


def test_lag_is_from_trigger_to_last_copy(journal: Journal) -> None:
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


def test_sizes_whose_sum_exceeds_64_bits_are_counted(journal: Journal) -> None:
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
