"""The trials of `bdms ingestd --check`, on real folders."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from ctao_bdms.daemon.config import trials


def test_folders_that_are_fit(tmp_path: Path) -> None:
    storage, quarantine = tmp_path / "storage", tmp_path / "quarantine"
    storage.mkdir()
    quarantine.mkdir()
    assert trials.try_listing(storage) == f"{storage} can be read, and is empty."
    assert trials.try_listing(tmp_path) == f"{tmp_path} can be read."
    assert trials.try_writing(storage).startswith("Files can be made")
    assert trials.try_moving(storage, quarantine).startswith("A file can be moved")
    assert trials.try_free_space(storage, 1).endswith(f"GB are free at {storage}.")
    assert list(storage.iterdir()) == list(quarantine.iterdir()) == []


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    for trial in (trials.try_listing, trials.try_writing):
        with pytest.raises(FileNotFoundError):
            trial(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        trials.try_moving(tmp_path, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_another_file_system_is_found_out(tmp_path: Path) -> None:
    other = Path("/dev/shm") / f"bdms-{os.getpid()}"
    other.mkdir()
    try:
        assert other.stat().st_dev != tmp_path.stat().st_dev
        with pytest.raises(OSError, match="cross-device"):
            trials.try_moving(tmp_path, other)
        assert list(tmp_path.iterdir()) == list(other.iterdir()) == []
    finally:
        shutil.rmtree(other)


def test_too_little_space(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"GB are free, and at least 1000000000.0 GB are wanted"):
        trials.try_free_space(tmp_path, 10**18)


def test_where_paths_lead(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    assert trials.same_place(real, link)
    assert trials.same_place(f"{real}/", real)
    assert not trials.same_place(tmp_path, real)
    assert trials.inside(link / "x", real)
    assert trials.inside(real, real)
    assert not trials.inside(tmp_path / "real.quarantine", real)
    assert trials.nearest(real / "a" / "b") == real


def test_a_worker_starts_within_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < trials.time_worker_start(2**31) < 60
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ChildProcessError, match="could not be scanned"):
        trials.time_worker_start(2**31)


def test_readers_are_named() -> None:
    assert "FITS is read by ctao-bdms; HDF5 " in trials.describe_readers()
