"""Folders that are missing, not mounted, unreadable or in a loop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.unit.watch.inbox import NAME, Clock, add, add_deep, is_silent, paths, poll_all, trigger_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctao_bdms.inbox import Watch


def test_folder_loops_are_not_followed(watch: Watch, folder: Path) -> None:
    (folder / "again").symlink_to(folder.parent)
    data = add(folder, 1)
    assert paths(watch.poll()) == [data]
    assert watch.folders == 10


@pytest.mark.parametrize("marker", ["", "NOT_MOUNTED"])
def test_missing_root_is_reported_once_and_loses_nothing(
    watch: Watch, folder: Path, tmp_path: Path, clock: Clock, marker: str
) -> None:
    add(folder, 1)
    watch.poll()
    root, known = tmp_path / "onsite", watch.known
    root.rename(tmp_path / "away")
    poll = poll_all(watch, clock)
    assert [notice.path for notice in poll.errors] == [root]
    assert poll.gone == []
    root.mkdir()  # the mount point of something that is not mounted
    if marker:
        (root / marker).touch()
    poll = poll_all(watch, clock)
    assert [notice.path for notice in poll.errors] == [root]
    assert "is the storage mounted?" in poll.errors[0].message
    assert (poll.gone, watch.known) == ([], known)
    (root / marker).unlink() if marker else None
    root.rmdir()
    (tmp_path / "away").rename(root)
    assert is_silent(poll_all(watch, clock))
    assert not watch.troubles.first()
    trigger_of(folder / NAME.format(1)).unlink()
    assert len(poll_all(watch, clock).gone) == 1


def test_root_that_vanishes_during_a_poll_loses_nothing(
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
    assert poll_all(watch, clock).gone == []


def test_triggers_of_a_removed_folder_are_gone(watch: Watch, folder: Path, tmp_path: Path, clock: Clock) -> None:
    trigger = trigger_of(add(folder, 1))
    watch.poll()
    shutil.rmtree(tmp_path / "onsite/ctao/acada")
    assert poll_all(watch, clock).gone == [trigger]
    root = tmp_path / "onsite"
    assert watch.folders == 2, "the root and ctao"
    data = add_deep(folder, 1)
    assert paths(poll_all(watch, clock)) == [data]
    shutil.rmtree(root / "ctao")
    assert poll_all(watch, clock).gone == [trigger], "the root is the one that it was, and really empty"
    assert not watch.troubles.first()


def test_empty_mount_point_below_the_root_loses_nothing(
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
    poll = poll_all(watch, clock)
    assert [notice.path for notice in poll.errors] == [mount]
    assert poll.gone == []
    monkeypatch.undo()
    mount.rmdir()
    away.rename(mount)
    assert is_silent(poll_all(watch, clock))
    assert not watch.troubles.first()


def _fields_of(status: os.stat_result) -> Iterator[tuple[str, object]]:
    """Yield the fields of a status after its first ten."""
    for name in dir(status):
        if name.startswith(("st_atime", "st_ctime", "st_mtime")):
            yield name, getattr(status, name)


def test_missing_triggers_are_reported_only_for_folders_that_were_seen(
    watch: Watch, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    there, gone = trigger_of(add(folder, 1)), trigger_of(folder / NAME.format(2))
    removed, strange = tmp_path / "onsite/ctao/removed/x.trigger", tmp_path / "other/x.trigger"
    asked = [there, gone, removed, strange]
    assert list(watch.lacks(asked)) == [], "nothing has been seen yet"
    watch.poll()
    assert list(watch.lacks(asked)) == [gone, removed]
    (tmp_path / "onsite").rename(tmp_path / "away")
    poll_all(watch, clock)
    assert list(watch.lacks(asked)) == []


def test_unreadable_folder_is_reported_once_and_tried_again() -> None:
    """In a process without the rights of root, whom no permission stops."""
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
