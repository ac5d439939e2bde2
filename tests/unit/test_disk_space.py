"""The space of a file system, also of one that does not tell its size, as tmpfs without a limit."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ctao_bdms.daemon.config import trials
from ctao_bdms.disk_space import disk_space
from ctao_bdms.preservation.onsite_disk import above_low_water

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Answer(NamedTuple):
    f_blocks: int
    f_bavail: int
    f_frsize: int = 4096


@pytest.fixture(params=["mount", "answer"])
def sizeless(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on tmpfs without a limit if this user may mount it, and one whose file system answers as that does."""
    if request.param == "answer":
        monkeypatch.setattr(os, "statvfs", lambda _folder: Answer(0, 0))
        yield tmp_path
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=0", "none", str(tmp_path)]
    is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if not is_mounted:  # an ordinary user, or a container: the other parameter answers as tmpfs does
        monkeypatch.setattr(os, "statvfs", lambda _folder: Answer(0, 0))
    yield tmp_path
    if is_mounted:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_file_system_that_does_not_tell_its_size_is_not_full(sizeless: Path) -> None:
    assert disk_space(sizeless) is None
    assert trials.try_free_space(sizeless, 10**18) == f"The file system of {sizeless} does not tell how much is free."
    with pytest.raises(OSError, match="does not tell its size") as caught:
        above_low_water(sizeless, 0.5)
    assert caught.value.errno == errno.ENOTSUP


def test_space_is_that_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _folder: Answer(1000, 250))
    space = disk_space(tmp_path)
    assert space is not None
    assert (space.total_bytes, space.free_bytes) == (4_096_000, 1_024_000)
    assert above_low_water(tmp_path, 0.5) == 1_024_000
    assert above_low_water(tmp_path, 0.9) == 0
