"""The folder that files are fetched into: free space, write errors, names."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.unit.retrieve.archive import PLACES, Archive, get, names

from ctao_bdms.access import Fetching
from ctao_bdms.access.partial_download import part_of
from ctao_bdms.errors import (
    NoSpaceError,
)
from ctao_bdms.model import ArchivedFile, Lfn

if TYPE_CHECKING:
    from pathlib import Path


class Space(NamedTuple):
    f_bavail: int
    f_frsize: int = 4096
    f_blocks: int = 10**6


def test_nothing_is_fetched_without_free_space(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: Space(17_000_000 // 4096))
    with pytest.raises(NoSpaceError, match=r"0\.017 GB free, and 0\.001 GB|GB are needed; make room") as caught:
        get(archive, archive.lfns, tmp_path / "deep" / "to")
    assert (caught.value.needed_bytes, caught.value.errno) == (500_000, errno.ENOSPC)
    assert not (tmp_path / "deep").exists()
    assert get(archive, archive.lfns[:1], tmp_path / "to")[0].status is Fetching.FETCHED


def test_target_that_does_not_tell_its_size_is_not_full(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: Space(0, f_blocks=0))
    assert get(archive, archive.lfns[:1], tmp_path / "to")[0].status is Fetching.FETCHED


def test_write_error_at_the_target_blames_no_copy(archive: Archive, tmp_path: Path) -> None:
    import resource

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert fetched.status is Fetching.FAILED
    assert isinstance(fetched.error, OSError)
    assert fetched.error.errno == errno.EFBIG
    assert fetched.troubles == ()
    assert not archive.suspicious
    assert get(archive, archive.lfns[:1], tmp_path / "to")[0].status is Fetching.FETCHED


def test_empty_files_and_the_longest_names_are_fetched(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "storage", [b""])
    (fetched,) = get(archive, archive.lfns, tmp_path / "to")
    assert (fetched.status, fetched.path.read_bytes()) == (Fetching.FETCHED, b"")
    whole = part_of(tmp_path / "again" / archive.lfns[0].name, archive.files(archive.lfns)[archive.lfns[0]])
    whole.parent.mkdir()
    whole.touch()
    for name in PLACES:
        archive.place(archive.lfns[0], name).unlink()
    assert get(archive, archive.lfns, whole.parent)[0].status is Fetching.FETCHED
    assert names(whole.parent) == [archive.lfns[0].name]
    longest = Lfn("/c/" + "n" * 247)
    file = ArchivedFile(lfn=longest, size_bytes=1, adler32="00000000")
    assert len(part_of(tmp_path / longest.name, file).name) <= 255
