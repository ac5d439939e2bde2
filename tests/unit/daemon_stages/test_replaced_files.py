"""Files replaced during their ingest: none is forgotten, and none is registered with the checksum of another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.errors import UnreachableError
from ctao_bdms.integrity import digest_file
from ctao_bdms.testing.contract import ONSITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.house import House

    from ctao_bdms.model import ArchivedFile, Did, Lfn, Registration

_FILES = 12


def _content(path: Path, *, is_other: bool) -> bytes:
    """Return the bytes of a file, or as many other bytes."""
    content = bytearray(path.read_bytes())
    if is_other:
        content[-3000] ^= 0xFF
    return bytes(content)


def _in_place(path: Path, *, is_other: bool) -> None:
    """Overwrite a file with as many bytes, and restore its time."""
    status, content = path.stat(), _content(path, is_other=is_other)
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _by_rename(path: Path, *, is_other: bool) -> None:
    """Replace a file by another of the same size and time."""
    status, new = path.stat(), path.with_name("new")
    new.write_bytes(_content(path, is_other=is_other))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)


def _to_larger(path: Path, *, is_other: bool) -> None:
    """Append to a file if its content is to change; else change its time only."""
    path.write_bytes(_content(path, is_other=is_other) + bytes(2880 * is_other))


_WAYS = {"in place": _in_place, "by rename": _by_rename, "larger": _to_larger}


class _Swapper:
    """Replaces each file once, when the daemon reaches a given moment with it."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house, self.patch = house, monkeypatch
        self.left: dict[Path, Callable[[Path], object]] = {}

    def swap(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path in self.left:
                self.left.pop(path)(path)

    def between_scan_and_plan(self) -> None:
        files = self.house.archive.files

        def swapping(lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
            self.swap(list(self.left))
            return files(lfns)

        self.patch.setattr(self.house.archive, "files", swapping)

    def after_registration(self) -> None:
        register = self.house.archive.register

        def swapping(block: Did, rse: str, files: Sequence[Registration]) -> None:
            register(block, rse, files)
            self.swap(list(self.left))

        self.patch.setattr(self.house.archive, "register", swapping)

    def while_triggers_go(self) -> None:
        unlink = Path.unlink

        def swapping(path: Path, missing_ok: bool = False) -> None:
            self.swap([path.with_name(path.name.removesuffix(".trigger"))])
            unlink(path, missing_ok=missing_ok)

        self.patch.setattr(Path, "unlink", swapping)


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("is_other", [True, False], ids=["other bytes", "same bytes"])
@pytest.mark.parametrize("moment", ["between_scan_and_plan", "after_registration", "while_triggers_go"])
def test_replaced_file_is_scanned_again(
    house: House, monkeypatch: pytest.MonkeyPatch, way: str, is_other: bool, moment: str
) -> None:
    files = house.write(_FILES)
    swapper = _Swapper(house, monkeypatch)
    swapped = {file.path for file in files[::2]}
    swapper.left = {path: lambda path: _WAYS[way](path, is_other=is_other) for path in swapped}
    getattr(swapper, moment)()
    house.turn(40)
    assert not swapper.left
    expected = (
        {"registered": _FILES - len(swapped), "quarantined": len(swapped)} if is_other else {"registered": _FILES}
    )
    assert house.states() == expected
    assert not any(os.path.lexists(file.trigger) for file in files), "each trigger was taken, or went with its file"
    if is_other:
        cases = house.bdms.quarantine.cases()
        assert {case.path for case in cases} == swapped
    for file in files:
        if file.path.exists():
            assert house.archive.files([file.lfn])[file.lfn].adler32 == digest_file(file.path).digests["adler32"]


def test_file_missing_during_registration_waits_and_is_registered_later(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The trigger does not change: only the loop can find out that the file is back."""
    (file,) = house.write(1)
    away = tmp_path / "away"
    swapper = _Swapper(house, monkeypatch)
    swapper.left = {file.path: lambda path: path.rename(away)}
    swapper.after_registration()
    house.turn(10)
    assert os.path.lexists(file.trigger)
    assert set(house.discover.watch.waiting()) == {file.trigger}
    away.rename(file.path)
    house.turn(10)
    assert house.states() == {"registered": 1}
    assert not os.path.lexists(file.trigger)
    assert house.discover.watch.n_waiting == 0


def test_folder_missing_for_a_moment_leaves_no_trigger(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """File and trigger are unchanged when the folder is back."""
    (file,) = house.write(1)
    folder, away = file.path.parent, tmp_path / "away"
    register = house.archive.register

    def hidden(block: Did, rse: str, files: Sequence[Registration]) -> None:
        register(block, rse, files)
        folder.rename(away)

    monkeypatch.setattr(house.archive, "register", hidden)
    house.turn(4)
    away.rename(folder)
    house.turn(10)
    assert house.states() == {"registered": 1}
    assert not os.path.lexists(file.trigger)


def test_trigger_made_again_with_its_old_time_is_found(house: House) -> None:
    """Copying tools restore times, and a file system gives a freed inode to the next file."""
    (file,) = house.write(1)
    house.scan.drain()
    house.turn(3)
    status = file.trigger.lstat()
    os.utime(file.trigger, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
    file.path.with_name("other").touch()  # something in its folder was made
    assert [seen.trigger for seen in house.discover.watch.poll().found] == [file.trigger]


def test_change_of_permissions_costs_one_scan(house: House) -> None:
    """A change of mode, owner or links changes the status time, so the file is scanned again."""
    (file,) = house.write(1)
    house.archive.error = UnreachableError("down")
    house.turn(4)
    assert house.states() == {"scanned": 1}
    file.path.chmod(0o440)
    house.archive.error = None
    house.turn(80)
    assert house.states() == {"registered": 1}
    assert house.archive.files([file.lfn])[file.lfn].at(ONSITE) is not None


def test_sound_file_that_replaces_a_bad_one_does_not_go_to_quarantine(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer replaces the bad file while it is being moved to quarantine."""
    (file,) = house.write(1)
    sound = file.path.read_bytes()
    file.path.write_bytes(sound[:-2880])
    rename = Path.rename
    swapped: list[Path] = []

    def swapping(path: Path, target: Path) -> Path:
        if path == file.path and not swapped:
            swapped.append(path)
            (new := path.with_name("new")).write_bytes(sound)
            rename(new, path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", swapping)
    house.turn(20)
    assert house.states() == {"registered": 1}
    assert swapped
    assert file.path.read_bytes() == sound
    assert not house.bdms.quarantine.cases()
    assert not os.path.lexists(file.trigger)
