"""Interrupted retrievals are resumed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.unit.retrieve.archive import CSCS, MB, PIC, Archive, KillAt, get, names, part_size

from ctao_bdms.access import Fault, Fetched, Fetching, Progress
from ctao_bdms.access.partial_download import part_of

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.model import Lfn


def counted(archive: Archive, lfn: Lfn, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Fetch a file, and return how many bytes were read from storage."""
    from ctao_bdms.storage.sources import LocalSource

    genuine, read = LocalSource.read_at, []

    def counting(self: LocalSource, buffer: memoryview, position: int) -> int:
        read.append(genuine(self, buffer, position))
        return read[-1]

    with monkeypatch.context() as patch:
        patch.setattr(LocalSource, "read_at", counting)
        (fetched,) = get(archive, [lfn], folder)
    assert fetched.status is Fetching.FETCHED, fetched
    assert fetched.path.read_bytes() == archive.contents[0]
    assert names(folder) == [lfn.name]
    return sum(read)


def test_interrupted_file_is_resumed(large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lfn,), folder = large.lfns, tmp_path / "to"
    with pytest.raises(KeyboardInterrupt):
        get(large, [lfn], folder, progress=KillAt(25 * MB))
    (part,) = folder.iterdir()
    assert part.name.startswith(f".{lfn.name}.")
    assert part.match(".*.part")
    there = part.stat().st_size
    assert 25 * MB <= there < 40 * MB
    assert counted(large, lfn, folder, monkeypatch) == 40 * MB - there


def test_damaged_partial_file_is_fetched_again(large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lfn,), folder = large.lfns, tmp_path / "to"
    with pytest.raises(KeyboardInterrupt):
        get(large, [lfn], folder, progress=KillAt(25 * MB))
    (part,) = folder.iterdir()
    with part.open("r+b") as stream:
        stream.write(b"\0" * 1000)
    assert counted(large, lfn, folder, monkeypatch) == 40 * MB - part_size(25) + 40 * MB
    assert not large.bad, "the copy was blamed for a part that was wrong"


def test_partial_file_of_other_content_is_deleted(large: Archive, tmp_path: Path) -> None:
    (lfn,), folder = large.lfns, tmp_path / "to"
    folder.mkdir()
    file = large.files([lfn])[lfn]
    for adler32 in ("00000001", "00000002"):
        stale = part_of(folder / lfn.name, attrs.evolve(file, adler32=adler32))
        stale.write_bytes(b"of another content")
    used = os.open(stale, os.O_RDWR)
    other = folder / ".other.fits.0123456789ab.part"
    other.write_bytes(b"of another file")
    too_long = part_of(folder / lfn.name, file)
    too_long.write_bytes(large.contents[0] + b"more")
    try:
        fcntl.flock(used, fcntl.LOCK_EX)
        (fetched,) = get(large, [lfn], folder)
    finally:
        os.close(used)
    assert fetched.path.read_bytes() == large.contents[0]
    assert names(folder) == sorted([lfn.name, stale.name, other.name]), "one in use and one of another file stay"


def test_next_copy_resumes_where_the_first_failed(
    large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctao_bdms.storage.sources import LocalSource

    genuine, read = LocalSource.read_at, []

    def failing(self: LocalSource, buffer: memoryview, position: int) -> int:
        if CSCS in str(self._file.path) and position >= 20 * MB:
            raise OSError(errno.EIO, "the disk is old")
        read.append(genuine(self, buffer, position))
        return read[-1]

    monkeypatch.setattr(LocalSource, "read_at", failing)
    (fetched,) = get(large, large.lfns, tmp_path / "to")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (PIC, [Fault.SUSPICIOUS])
    assert fetched.path.read_bytes() == large.contents[0]
    assert sum(read) == 40 * MB
    assert not large.bad


def test_corrupt_first_half_does_not_blame_the_second_copy(
    large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctao_bdms.storage.sources import LocalSource

    genuine = LocalSource.read_at

    def failing(self: LocalSource, buffer: memoryview, position: int) -> int:
        count = genuine(self, buffer, position)
        if CSCS in str(self._file.path):
            if position >= 20 * MB:
                raise OSError(errno.EIO, "the disk is old")
            buffer[:1] = b"\0"
        return count

    monkeypatch.setattr(LocalSource, "read_at", failing)
    (fetched,) = get(large, large.lfns, tmp_path / "to")
    assert fetched.rse == PIC
    assert fetched.path.read_bytes() == large.contents[0]
    assert not large.bad


def test_parallel_retrievals_into_one_folder_agree(large: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "to"
    with ThreadPoolExecutor(6) as pool:
        several = list(pool.map(lambda _: get(large, large.lfns, folder)[0], range(6)))
    assert sorted(each.status for each in several) == ["fetched", *["present"] * 5]
    assert names(folder) == [large.lfns[0].name]
    assert (folder / large.lfns[0].name).read_bytes() == large.contents[0]


def test_wait_for_another_retrieval_can_be_interrupted(archive: Archive, tmp_path: Path) -> None:
    file = archive.files(archive.lfns)[archive.lfns[0]]
    part = part_of(tmp_path / file.lfn.name, file)
    part.touch()
    holder = os.open(part, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)

    class Interrupt(Progress):
        def end(self, fetched: Fetched) -> None:
            raise KeyboardInterrupt

    begin_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        get(archive, archive.lfns, tmp_path, progress=Interrupt())
    assert time.monotonic() - begin_s < 20
    os.close(holder)
    assert get(archive, archive.lfns[:1], tmp_path)[0].status is Fetching.FETCHED


_CHILD = """
import json, sys
from pathlib import Path
from ctao_bdms.access import Progress, retrieve
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.model import Lfn, Registration, ProductMetadata, Rse
from ctao_bdms.testing.contract import block_of
import time

class Slow(Progress):
    def moved(self, lfn, count):
        print(count, flush=True)
        time.sleep(0.05)

about = json.loads(sys.argv[1])
archive = InMemoryCatalogue([Rse(name="PIC-DISK", prefix=about["prefix"], centre="PIC")])
file = Registration(lfn=Lfn(about["lfn"]), size_bytes=about["size"], adler32=about["adler32"],
                    metadata=ProductMetadata({}))
archive.ensure_directories([file.lfn]); archive.open_block(block_of("acada"))
archive.register(block_of("acada"), "PIC-DISK", [file])
retrieve(archive, archive.rses(), [file.lfn], Path(about["to"]), progress=Slow())
"""


def test_file_of_a_killed_process_is_resumed(large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = large.registered
    folder = tmp_path / "to"
    about = {"prefix": str(large.folder / PIC), "lfn": str(file.lfn), "size": file.size_bytes, "to": str(folder)}
    command = [sys.executable, "-c", _CHILD, json.dumps(about | {"adler32": file.adler32})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(4):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    (part,) = folder.iterdir()
    there = part.stat().st_size
    assert 16 * MB < there < 40 * MB
    assert counted(large, file.lfn, folder, monkeypatch) == 40 * MB - there
