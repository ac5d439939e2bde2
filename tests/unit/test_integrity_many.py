"""The scan of many files, in this process and in others."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.errors import UsageError
from ctao_bdms.integrity import ScanInterruptedError, scan, scan_many
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give more files than one task holds: sound, cut, large, and what is none."""
    root = tmp_path_factory.mktemp("night")
    sound = write_dl0(night_specs(1, telescopes=1, megabytes=0.1)[0], root).path
    for number in range(70):
        shutil.copy(sound, root / f"{number}.fits.fz")
    (root / "cut.fits.fz").write_bytes(sound.read_bytes()[:90_000])
    (root / "large.bin").write_bytes(os.urandom(70 * 1024 * 1024))
    os.mkfifo(root / "fifo.fits")
    return [
        root / "large.bin",
        *sorted(root.glob("*.fits.fz")),
        root,
        root / "fifo.fits",
        root / "none",
        root / "null\0",
    ]


@pytest.mark.parametrize("jobs", [1, 3])
def test_many_files_are_scanned_as_one_is(files: list[Path], jobs: int) -> None:
    told: list[int] = []
    many = list(scan_many(files, ("md5",), jobs=jobs, on_bytes=told.append))
    assert many == [scan(file, ("md5",)) for file in files]
    assert sum(told) == sum(facts.size_bytes for facts in many)
    assert {facts.verdict for facts in many} == {"good", "bad", "unchecked", "error"}
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_are_taken_as_they_are_needed(files: list[Path], jobs: int) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield files[1]

    facts = scan_many(endless(), jobs=jobs)
    assert next(facts).verdict == "good"
    assert taken <= (5 if jobs == 1 else 5 * 65)
    facts.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_told_in_a_sentence(files: list[Path]) -> None:
    facts = scan_many([files[0], *files[1:3] * 200], ("sha3_512",), jobs=2)
    next(facts)
    victim = multiprocessing.active_children()[0]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    with pytest.raises(ScanInterruptedError, match="fewer jobs"):
        list(facts)
    assert multiprocessing.active_children() == []


def test_an_unknown_digest_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="md6"):
        scan_many([], ("md6",))


def test_no_file_is_no_fact() -> None:
    assert list(scan_many([])) == list(scan_many([], jobs=2)) == []
