"""The watch finds new triggers, and lists folders only when needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.unit.watch.inbox import NAME, Clock, add, is_silent, paths, settle, trigger_of

from ctao_bdms.inbox import Watch, survey
from ctao_bdms.inbox.folders import Round
from ctao_bdms.inbox.stamps import Stamp

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_files_are_found_once_and_as_by_survey(watch: Watch, folder: Path, tmp_path: Path) -> None:
    data = [add(folder, number) for number in range(5)]
    (folder / "no-trigger.fits.fz").write_bytes(b"x")
    poll = watch.poll()
    assert paths(poll) == data
    assert sorted(s.path for s in poll.found) == [f.path for f in survey([tmp_path], tmp_path / "onsite")]
    assert all(sighting.stamp == Stamp.of(sighting.path) for sighting in poll.found)
    assert is_silent(watch.poll())
    assert (watch.known, watch.folders) == (5, 10)


def test_new_files_are_found_and_removed_ones_are_gone(watch: Watch, folder: Path, clock: Clock) -> None:
    first = add(folder, 1)
    assert paths(watch.poll()) == [first]
    settle(watch, clock)
    second = add(folder, 2)
    tomorrow = folder.with_name("22") / "deep"
    tomorrow.mkdir(parents=True)
    third = add(tomorrow, 3)
    assert paths(watch.poll()) == [second, third]
    trigger_of(first).unlink()
    third.unlink()
    trigger_of(third).unlink()
    tomorrow.rmdir()
    assert sorted(watch.poll().gone) == [trigger_of(first), trigger_of(third)]
    assert is_silent(watch.poll())
    assert watch.known == 1


def test_trigger_made_again_is_found_again(watch: Watch, folder: Path, clock: Clock) -> None:
    data = add(folder, 1)
    watch.poll()
    settle(watch, clock)
    trigger_of(data).unlink()
    trigger_of(data).touch()
    assert paths(watch.poll()) == [data]
    assert is_silent(watch.poll())
    other = folder / "other"
    other.touch()
    other.replace(trigger_of(data))
    assert paths(watch.poll()) == [data]
    settle(watch, clock)


def test_unchanged_folder_is_listed_only_within_the_tick_of_the_clock(
    watch: Watch, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system whose folders never change their times: every change comes within the same tick."""
    monkeypatch.setattr("ctao_bdms.inbox.watch.folder_stamp", lambda status: (status.st_dev, status.st_ino, 0, 0))
    first = add(folder, 1)
    assert paths(watch.poll()) == [first]
    clock.now_s += 1
    second = add(folder, 2)
    assert paths(watch.poll()) == [second]
    clock.now_s += 5
    third = add(folder, 3)
    assert paths(watch.poll()) == [third], "one listing must be later than the tick"
    settle(watch, clock)
    fourth = add(folder, 4)
    assert is_silent(watch.poll())
    end_s = clock.now_s + 610
    while not (found := paths(watch.poll())):
        clock.now_s += 5
        assert clock.now_s <= end_s
    assert found == [fourth]


def test_full_scan_finds_a_touched_trigger_and_is_spread_over_polls(
    watch: Watch, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    for number in range(50):
        (tmp_path / "onsite" / f"f{number}").mkdir()
    data = add(folder, 1)
    watch.poll()
    settle(watch, clock)
    os.utime(trigger_of(data), ns=(0, 0))
    polls, begin_s = 0, clock.now_s
    while not (found := watch.poll().found):
        clock.now_s += 5
        polls += 1
    assert found[0].trigger_ns == 0
    assert clock.now_s - begin_s <= 610
    assert polls > 1, "the scan is spread over polls"


def test_poll_returns_at_most_its_limit(tmp_path: Path, folder: Path) -> None:
    data = [add(folder, number) for number in range(25)]
    watch = Watch([tmp_path / "onsite"], tmp_path / "onsite", limit=10)
    polls = [watch.poll() for _ in range(4)]
    assert [len(poll.found) for poll in polls] == [10, 10, 5, 0]
    assert [poll.more for poll in polls] == [True, True, False, False]
    assert sorted(path for poll in polls for path in paths(poll)) == data


def test_folders_beyond_one_poll_are_checked_in_later_ones(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctao_bdms.inbox.watch._STATS_PER_POLL", 10)
    root = tmp_path / "onsite"
    for number in range(60):
        (root / f"f{number:02d}").mkdir(parents=True)
    watch = Watch([root], root, monotonic=clock)
    for _ in range(20):
        clock.now_s += 1
        watch.poll()
    quiet = add(root / "f07", 7)
    polls = 0
    while not (found := watch.poll().found):
        polls += 1
        assert polls <= 61 // 5 + 2
    assert found[0].path == quiet
    again = add(root / "f07", 8)  # it changed last, so it is asked in every poll now
    assert paths(watch.poll()) == [again]


def test_round_takes_each_element_once() -> None:
    source = [b"%d" % number for number in range(10)]
    turn = Round()
    assert sorted(turn.take(source, 4) + turn.take(source, 4) + turn.take(source, 4)) == source
    assert turn.take(source[:3], 5) == source[:3]
    assert turn.take([], 5) == []


def test_known_triggers_take_little_memory(tmp_path: Path) -> None:
    """Names are packed, in a tenth of the memory of sets."""
    import tracemalloc

    from ctao_bdms.inbox.folders import Folder

    names = {os.fsencode(NAME.format(number) + ".trigger"): hash(number) for number in range(1000)}
    tracemalloc.start()
    folder = Folder()
    folder.remember(names)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert folder.triggers() == names
    assert size < 30 * len(names), "300 MB for a million triggers would be 300 bytes each"
