"""The inbox that is looked at again and again, on real folders; only the clock is ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.inbox import Watch, survey
from ctao_bdms.inbox.folders import Round
from ctao_bdms.inbox.sightings import Poll
from ctao_bdms.inbox.stamps import Stamp
from ctao_bdms.model import DefectKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "TEL001_SDH0001_20261121T221500_SBID2_OBSID2_CHUNK{:03d}.fits.fz"


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "onsite" / "ctao/acada/DL0/LSTN-01/u/events/2026/11/21"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def watch(tmp_path: Path, folder: Path, clock: Clock) -> Watch:
    assert folder.exists()
    return Watch([tmp_path / "onsite"], tmp_path / "onsite", settle_s=3, full_scan_s=600, monotonic=clock)


def add(folder: Path, number: int, content: bytes = b"x") -> Path:
    """Make a data file and its trigger; return the data file."""
    path = folder / NAME.format(number)
    path.write_bytes(content)
    trigger_of(path).touch()
    return path


def trigger_of(path: Path) -> Path:
    return path.with_name(path.name + ".trigger")


def paths(poll: Poll) -> list[Path]:
    return sorted(sighting.path for sighting in poll.found)


def is_silent(poll: Poll) -> bool:
    return not (poll.found or poll.gone or poll.waiting or poll.errors or poll.more)


def settle(watch: Watch, clock: Clock) -> None:
    """Go on until unchanged folders are no longer listed."""
    for _ in range(3):
        clock.now_s += 2
        assert is_silent(watch.poll())


def test_what_is_there_is_found_once_as_survey_finds_it(watch: Watch, folder: Path, tmp_path: Path) -> None:
    data = [add(folder, number) for number in range(5)]
    (folder / "no-trigger.fits.fz").write_bytes(b"x")
    poll = watch.poll()
    assert paths(poll) == data
    assert sorted(s.path for s in poll.found) == [f.path for f in survey([tmp_path], tmp_path / "onsite")]
    assert all(sighting.stamp == Stamp.of(sighting.path) for sighting in poll.found)
    assert is_silent(watch.poll())
    assert (watch.known, watch.folders) == (5, 10)


def test_new_files_and_folders_are_found_and_removed_ones_are_gone(watch: Watch, folder: Path, clock: Clock) -> None:
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


def test_a_trigger_that_is_made_again_is_found_again(watch: Watch, folder: Path, clock: Clock) -> None:
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


def test_an_unchanged_folder_is_not_listed_but_within_the_tick_of_the_clock_it_is(
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


def test_a_touched_trigger_is_found_by_the_full_scan_which_is_spread(
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


def test_a_trigger_waits_for_its_file(watch: Watch, folder: Path, tmp_path: Path, clock: Clock) -> None:
    elsewhere = tmp_path / "onsite" / "elsewhere"
    elsewhere.mkdir()
    data = folder / NAME.format(1)
    data.symlink_to(elsewhere / data.name)
    trigger_of(data).touch()
    poll = watch.poll()
    assert not poll.found
    assert [notice.path for notice in poll.waiting] == [trigger_of(data)]
    assert "No such file" in poll.waiting[0].message
    settle(watch, clock)
    before = folder.stat()
    (elsewhere / data.name).write_bytes(b"late")
    assert folder.stat().st_mtime_ns == before.st_mtime_ns
    poll = watch.poll()
    assert paths(poll) == [elsewhere / data.name]
    stamp = poll.found[0].stamp
    assert stamp is not None
    assert stamp.modified_ns > poll.found[0].trigger_ns, "clocks of producer and storage may differ"
    assert not watch.waiting()


def test_a_waiting_trigger_that_is_removed_waits_no_longer(watch: Watch, folder: Path) -> None:
    trigger = folder / (NAME.format(1) + ".trigger")
    trigger.touch()
    assert len(watch.poll().waiting) == 1
    trigger.unlink()
    assert watch.poll().gone == [trigger]
    assert not watch.waiting()


@pytest.mark.parametrize("target", ["{name}", "{folder}/{name}", "../21/{name}", "/other/mount/{name}", "step"])
def test_a_link_that_agrees_with_its_name(watch: Watch, folder: Path, target: str) -> None:
    data = folder / NAME.format(1)
    data.write_bytes(b"x")
    (folder / "step").symlink_to(data.name)
    trigger_of(data).symlink_to(target.format(name=data.name, folder=folder))
    assert paths(watch.poll()) == [data]


@pytest.mark.parametrize(
    "target", ["{name}.trigger", "{other}", "{other}.trigger", "../21", "/etc/hostname", "nothing", "/no/where"]
)
def test_a_link_that_contradicts_its_name_is_no_word(watch: Watch, folder: Path, clock: Clock, target: str) -> None:
    data, other = folder / NAME.format(1), add(folder, 2)
    data.write_bytes(b"x")
    trigger_of(data).symlink_to(target.format(name=data.name, other=other.name))
    poll = watch.poll()
    assert paths(poll) == [other]
    assert [notice.path for notice in poll.waiting] == [trigger_of(data)]
    assert "but is a link to" in poll.waiting[0].message
    settle(watch, clock)
    trigger_of(data).unlink()
    trigger_of(data).symlink_to(data)
    assert paths(watch.poll()) == [data]
    assert not watch.waiting()


def test_two_triggers_that_point_at_each_other(watch: Watch, folder: Path) -> None:
    one, two = folder / NAME.format(1), folder / NAME.format(2)
    for data, target in ((one, two), (two, one)):
        data.write_bytes(b"x")
        trigger_of(data).symlink_to(trigger_of(target).name)
    poll = watch.poll()
    assert not poll.found
    assert len(poll.waiting) == 2


def test_a_data_file_that_is_a_link_out_of_the_root_is_found_with_its_defect(
    watch: Watch, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.fits.fz"
    outside.write_bytes(b"x")
    data = folder / NAME.format(1)
    data.symlink_to(outside)
    trigger_of(data).symlink_to(data.name)
    (sighting,) = watch.poll().found
    assert [defect.kind for defect in sighting.defects] == [DefectKind.OUTSIDE_ROOT]


def test_loops_of_folders_are_not_followed(watch: Watch, folder: Path) -> None:
    (folder / "again").symlink_to(folder.parent)
    data = add(folder, 1)
    assert paths(watch.poll()) == [data]
    assert watch.folders == 10


def test_odd_names_are_told_once(watch: Watch, folder: Path, clock: Clock) -> None:
    (folder / ".trigger").touch()
    os.mkfifo(folder / "fifo.trigger")
    (folder / "folder.trigger").mkdir()
    inner = add(folder / "folder.trigger", 1)
    poll = watch.poll()
    assert paths(poll) == [inner]
    assert {notice.path.name for notice in poll.errors} == {".trigger", "fifo.trigger"}
    settle(watch, clock)
    assert set(watch.troubles.first()) == {folder / ".trigger", folder / "fifo.trigger"}
    (folder / ".trigger").unlink()
    (folder / "fifo.trigger").unlink()
    assert is_silent(watch.poll())
    assert not watch.troubles.first()


def test_a_trigger_of_something_that_is_no_file(watch: Watch, folder: Path) -> None:
    (folder / "a.fits").mkdir()
    (folder / "a.fits.trigger").touch()
    (sighting,) = watch.poll().found
    assert sighting.stamp == Stamp.of(folder / "a.fits"), "the journal must not take it for one that is to come"
    assert [defect.kind for defect in sighting.defects] == [DefectKind.NOT_A_FILE]


def test_a_name_that_is_no_text_is_found_with_its_defect(watch: Watch, folder: Path) -> None:
    name = os.fsencode(folder) + b"/bad\xff.fits.fz"
    for path in (name, name + b".trigger"):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    (sighting,) = watch.poll().found
    assert os.fsencode(sighting.path) == name
    assert [defect.kind for defect in sighting.defects] == [DefectKind.INVALID_NAME]
    assert sighting.defects[0].message.isprintable()
    trigger_of(sighting.path).unlink()
    assert [os.fsencode(path) for path in watch.poll().gone] == [name + b".trigger"]


def _polls(watch: Watch, clock: Clock, count: int = 3) -> Poll:
    """Return all that several polls say, with time in between."""
    said = Poll()
    for _ in range(count):
        clock.now_s += 2
        poll = watch.poll()
        for name in ("found", "gone", "waiting", "errors"):
            getattr(said, name).extend(getattr(poll, name))
    return said


@pytest.mark.parametrize("marker", ["", "NOT_MOUNTED"])
def test_a_missing_root_is_told_once_and_loses_nothing(
    watch: Watch, folder: Path, tmp_path: Path, clock: Clock, marker: str
) -> None:
    add(folder, 1)
    watch.poll()
    root, known = tmp_path / "onsite", watch.known
    root.rename(tmp_path / "away")
    poll = _polls(watch, clock)
    assert [notice.path for notice in poll.errors] == [root]
    assert poll.gone == []
    root.mkdir()  # the mount point of something that is not mounted
    if marker:
        (root / marker).touch()
    poll = _polls(watch, clock)
    assert [notice.path for notice in poll.errors] == [root]
    assert "is the storage mounted?" in poll.errors[0].message
    assert (poll.gone, watch.known) == ([], known)
    (root / marker).unlink() if marker else None
    root.rmdir()
    (tmp_path / "away").rename(root)
    assert is_silent(_polls(watch, clock))
    assert not watch.troubles.first()
    trigger_of(folder / NAME.format(1)).unlink()
    assert len(_polls(watch, clock).gone) == 1


def test_a_root_that_goes_while_it_is_looked_at_loses_nothing(
    watch: Watch, folder: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder, 1)
    watch.poll()
    root, lstat = tmp_path / "onsite", os.lstat

    def going(path: bytes) -> os.stat_result:
        status = lstat(path)
        if path == os.fsencode(root) and root.exists():
            root.rename(tmp_path / "away")
        return status

    monkeypatch.setattr(os, "lstat", going)
    clock.now_s += 2
    assert watch.poll().gone == []
    assert not root.exists()
    monkeypatch.undo()
    assert _polls(watch, clock).gone == []


def test_a_folder_that_is_removed_takes_its_triggers_along(
    watch: Watch, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    trigger = trigger_of(add(folder, 1))
    watch.poll()
    shutil.rmtree(tmp_path / "onsite/ctao/acada")
    assert _polls(watch, clock).gone == [trigger]
    root = tmp_path / "onsite"
    assert watch.folders == 2, "the root and ctao"
    data = add_deep(folder, 1)
    assert paths(_polls(watch, clock)) == [data]
    shutil.rmtree(root / "ctao")
    assert _polls(watch, clock).gone == [trigger], "the root is the one that it was, and really empty"
    assert not watch.troubles.first()


def test_an_empty_mount_point_below_the_root_loses_nothing(
    watch: Watch, folder: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder, 1)
    watch.poll()
    mount, away, lstat = tmp_path / "onsite/ctao", tmp_path / "away", os.lstat
    mount.rename(away)
    mount.mkdir()

    def other_device(path: bytes) -> os.stat_result:
        status = lstat(path)
        if path != os.fsencode(mount):
            return status
        return os.stat_result((*status[:2], status.st_dev + 1, *status[3:10]), dict(_fields_of(status)))

    monkeypatch.setattr(os, "lstat", other_device)
    poll = _polls(watch, clock)
    assert [notice.path for notice in poll.errors] == [mount]
    assert poll.gone == []
    monkeypatch.undo()
    mount.rmdir()
    away.rename(mount)
    assert is_silent(_polls(watch, clock))
    assert not watch.troubles.first()


def _fields_of(status: os.stat_result) -> Iterator[tuple[str, object]]:
    """Yield what a status says beside its first ten numbers."""
    for name in dir(status):
        if name.startswith(("st_atime", "st_ctime", "st_mtime")):
            yield name, getattr(status, name)


def test_which_triggers_are_lacking_is_said_only_of_folders_that_were_seen(
    watch: Watch, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    there, gone = trigger_of(add(folder, 1)), trigger_of(folder / NAME.format(2))
    removed, strange = tmp_path / "onsite/ctao/removed/x.trigger", tmp_path / "other/x.trigger"
    asked = [there, gone, removed, strange]
    assert list(watch.lacks(asked)) == [], "nothing has been seen yet"
    watch.poll()
    assert list(watch.lacks(asked)) == [gone, removed]
    (tmp_path / "onsite").rename(tmp_path / "away")
    _polls(watch, clock)
    assert list(watch.lacks(asked)) == []


def add_deep(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True)
    return add(folder, number)


def test_an_unreadable_folder_is_told_once_and_tried_again() -> None:
    """In a process without root's rights: what root may read, root cannot be refused."""
    program = """
import os, tempfile
from pathlib import Path
from ctao_bdms.inbox import Watch
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with tempfile.TemporaryDirectory() as name:
    root, shut = Path(name), Path(name) / "shut"
    shut.mkdir()
    for name in ("a.fits", "a.fits.trigger"):
        (shut / name).touch()
    shut.chmod(0)
    watch = Watch([root], root)
    first, second = watch.poll(), watch.poll()
    shut.chmod(0o400)
    third = watch.poll()
    shut.chmod(0o700)
    last = watch.poll()
print([len(poll.errors) for poll in (first, second, third, last)], len(last.found), len(watch.troubles.first()))
print(first.errors[0].message, "/", third.errors[0].message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts, messages = done.stdout.splitlines()
    assert counts == "[1, 0, 1, 0] 1 0"
    assert messages.startswith("the folder cannot be read: Permission denied / the trigger cannot be looked at")


def test_many_come_in_portions(tmp_path: Path, folder: Path) -> None:
    data = [add(folder, number) for number in range(25)]
    watch = Watch([tmp_path / "onsite"], tmp_path / "onsite", limit=10)
    polls = [watch.poll() for _ in range(4)]
    assert [len(poll.found) for poll in polls] == [10, 10, 5, 0]
    assert [poll.more for poll in polls] == [True, True, False, False]
    assert sorted(path for poll in polls for path in paths(poll)) == data


def test_more_folders_than_are_asked_in_one_poll(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_round_takes_each_once() -> None:
    source = [b"%d" % number for number in range(10)]
    turn = Round()
    assert sorted(turn.take(source, 4) + turn.take(source, 4) + turn.take(source, 4)) == source
    assert turn.take(source[:3], 5) == source[:3]
    assert turn.take([], 5) == []


def test_what_is_known_takes_little_memory(tmp_path: Path) -> None:
    """Packed names: a tenth of what sets of names would take."""
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
