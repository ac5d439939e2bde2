"""Fetching files: from which copy, by which door, continued, beside others, and what is told of bad copies."""

from __future__ import annotations

import errno
import fcntl
import http.server
import io
import json
import logging
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import pytest
from rich.console import Console

from ctao_bdms.access import Fault, Fetched, Fetching, Health, Progress, locate, open_file, retrieve
from ctao_bdms.access.locate import ranked
from ctao_bdms.access.partial_download import part_of
from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.cli.files_bar import FilesBar
from ctao_bdms.cli.output import Output
from ctao_bdms.errors import (
    ForbiddenError,
    InvalidNameError,
    NoSpaceError,
    NotFoundError,
    RetrievalError,
    UnreachableError,
    UsageError,
)
from ctao_bdms.model import ArchivedFile, Lfn, Replica, ReplicaState, Rse
from ctao_bdms.replication import Policy
from ctao_bdms.storage import Sources
from ctao_bdms.testing.contract import NIGHT, ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

MB = 1_000_000
PIC, CSCS = "PIC-DISK", "CSCS-DISK"
PLACES: dict[str, dict[str, Any]] = {
    ONSITE: {"site": "CTAO-North", "tier": "0"},
    PIC: {"centre": "PIC"},
    CSCS: {"centre": "CSCS"},
}


class Archive(InMemoryCatalogue):
    """An archive in memory with real bytes; `doors` gives other URLs in front of those of the disk."""

    def __init__(self, folder: Path, contents: Iterable[bytes]) -> None:
        super().__init__(Rse(name=name, prefix=str(folder / name), **about) for name, about in PLACES.items())
        self.folder = folder
        self.doors: dict[str, tuple[str, ...]] = {}
        self.bad: list[tuple[str, str]] = []
        self.contents = list(contents)
        self.registered = [
            registration("acada", number, size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}")
            for number, content in enumerate(self.contents)
        ]
        self.lfns = [file.lfn for file in self.registered]
        self.block = block_of("acada")
        self.ensure_directories(self.lfns)
        self.open_block(self.block)
        self.register(self.block, ONSITE, self.registered)
        for name in (PIC, CSCS):
            self.add_rule(self.block, rse_expression=name)
        self.transfer()
        for lfn, content in zip(self.lfns, self.contents, strict=True):
            for name in PLACES:
                self.place(lfn, name).parent.mkdir(parents=True, exist_ok=True)
                if len(content) < MB or name == ONSITE:
                    self.place(lfn, name).write_bytes(content)
                else:
                    self.place(lfn, name).hardlink_to(self.place(lfn, ONSITE))

    def place(self, lfn: Lfn, rse: str) -> Path:
        return self.folder / rse / str(lfn)[1:]

    def content(self, names: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        return {lfn: attrs.evolve(file, replicas=self._by(file)) for lfn, file in super().content(names).items()}

    def _by(self, file: ArchivedFile) -> tuple[Replica, ...]:
        chosen = []
        for replica in file.replicas:
            urls = tuple(f"{door}/{replica.rse}{file.lfn}" for door in self.doors.get(replica.rse, ()))
            urls = urls or replica.urls
            chosen.append(attrs.evolve(replica, pfn=urls[0], others=urls[1:]))
        return tuple(chosen)

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        super().declare_bad(lfn, rse, reason)
        self.bad.append((str(lfn), rse))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "storage", [bytes([65 + number]) * 100_000 for number in range(5)])


@pytest.fixture
def large(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "storage", [os.urandom(MB) * 40])


def get(archive: Archive, lfns: Iterable[Lfn], folder: Path, **words: Any) -> list[Fetched]:  # noqa: ANN401
    return list(retrieve(archive, archive.rses(), lfns, folder, **words))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# What a name stands for


def test_a_name_stands_for_a_file_a_directory_or_a_block(archive: Archive, tmp_path: Path) -> None:
    bdms = Bdms(archive, policy=Policy.load())
    folder = archive.lfns[0].parent
    for number, (asked, count) in enumerate(
        [
            ({"names": archive.lfns[:2]}, 2),
            ({"names": str(archive.lfns[0])}, 1),
            ({"names": bdms.query(telescope="LSTN-02")}, 1),
            ({"names": [folder, archive.lfns[0]]}, 2),
            ({"directory": folder}, 2),
            ({"directory": "/ctao/acada/DL0"}, 5),
            ({"block": archive.block}, 5),
            ({"block": archive.block.name}, 5),
            ({"night": NIGHT}, 5),
            ({"level": "DL0", "telescope": "LSTN-01"}, 2),
            ({"names": []}, 0),
        ]
    ):
        fetched = bdms.retrieve(folder=tmp_path / str(number), **asked)  # type: ignore[arg-type]
        assert len(fetched) == count, asked
        assert {each.status for each in fetched} <= {Fetching.FETCHED}


def test_what_makes_no_sense_is_told(archive: Archive, tmp_path: Path) -> None:
    bdms = Bdms(archive, policy=Policy.load())
    with pytest.raises(UsageError, match="not both"):
        bdms.retrieve(archive.lfns, level="DL0")
    with pytest.raises(UsageError, match="say what to fetch"):
        bdms.retrieve(folder=tmp_path)
    with pytest.raises(UsageError, match="did you mean 'PIC'"):
        bdms.retrieve(archive.lfns, tmp_path, near="PIK")
    with pytest.raises(NotFoundError, match="/ctao/acada/DL9"):
        bdms.retrieve(directory="/ctao/acada/DL9")
    with pytest.raises(UsageError, match="5 files"):
        bdms.open("/ctao/acada/DL0")


# Which copy


def test_a_storage_that_keeps_failing_is_asked_last_until_it_works() -> None:
    now = [0.0]
    health = Health(clock=lambda: now[0])
    rses = {name: Rse(name=name, prefix=f"/{name}", **about) for name, about in PLACES.items()}
    good = ReplicaState.AVAILABLE
    replicas = tuple(Replica(rse=name, state=good, pfn=f"file:///{name}/x") for name in PLACES)
    file = ArchivedFile(lfn=Lfn("/ctao/acada/x"), size_bytes=1, adler32="00620062", replicas=replicas)

    def order(near: str = "") -> list[str]:
        return [replica.rse for replica in ranked(file, rses, near, health)]

    assert order() == [CSCS, PIC, ONSITE]
    health.failed(CSCS)
    assert order() == [PIC, CSCS, ONSITE]
    assert order("CSCS") == [CSCS, PIC, ONSITE]
    health.failed(CSCS)
    health.failed(CSCS)
    assert order("CSCS") == [PIC, ONSITE, CSCS]
    now[0] = 301
    assert order("CSCS") == order() == [CSCS, PIC, ONSITE]
    health.failed(PIC)
    health.worked(PIC)
    assert health.failures(PIC) == 0
    assert order(PIC) == [PIC, CSCS, ONSITE]
    tiers = rses | {PIC: attrs.evolve(rses[PIC], tier="1"), CSCS: attrs.evolve(rses[CSCS], tier="2")}
    assert [replica.rse for replica in ranked(file, tiers)] == [PIC, CSCS, ONSITE]


@pytest.mark.parametrize("harm", ["flipped", "cut"])
def test_a_copy_with_other_bytes_is_declared_bad(archive: Archive, tmp_path: Path, harm: str) -> None:
    lfn, content = archive.lfns[0], archive.contents[0]
    archive.place(lfn, PIC).write_bytes(b"x" + content[1:] if harm == "flipped" else content[:-1])
    (fetched,) = get(archive, [lfn], tmp_path / "to", near="PIC")
    assert (fetched.status, fetched.rse) == (Fetching.FETCHED, CSCS)
    (trouble,) = fetched.troubles
    assert (trouble.rse, trouble.fault) == (PIC, Fault.BAD)
    assert archive.bad == [(str(lfn), PIC)]
    state = {replica.rse: replica.state for replica in archive.files([lfn])[lfn].replicas}
    assert state == {ONSITE: ReplicaState.AVAILABLE, PIC: ReplicaState.BAD, CSCS: ReplicaState.AVAILABLE}
    assert names(tmp_path / "to") == [lfn.name]


@pytest.mark.parametrize("is_mount_point", [True, False])
def test_a_copy_that_is_gone_is_suspicious_and_a_storage_that_is_gone_says_nothing(
    archive: Archive, tmp_path: Path, is_mount_point: bool
) -> None:
    lfn = archive.lfns[0]
    archive.place(lfn, PIC).unlink()
    (archive.folder / CSCS).rename(tmp_path / "unmounted")
    if is_mount_point:
        (archive.folder / CSCS).mkdir()
    (fetched,) = get(archive, [lfn], tmp_path / "to")
    assert fetched.rse == ONSITE
    assert {trouble.rse: trouble.fault for trouble in fetched.troubles} == {
        CSCS: Fault.OUT_OF_REACH,
        PIC: Fault.SUSPICIOUS,
    }
    assert list(archive.suspicious) == [(lfn, PIC)]
    assert not archive.bad


@pytest.mark.parametrize("lack", [errno.EMFILE, errno.ENOMEM])
def test_what_this_machine_lacks_says_nothing_of_a_copy(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack: int
) -> None:
    from ctao_bdms.storage.sources import LocalSource

    def lacking(self: LocalSource, buffer: memoryview, position: int) -> int:
        raise OSError(lack, os.strerror(lack))

    monkeypatch.setattr(LocalSource, "read_at", lacking)
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert {trouble.fault for trouble in fetched.troubles} == {Fault.OUT_OF_REACH}
    assert not archive.suspicious


def test_bytes_that_are_wrong_once_are_not_the_fault_of_the_copy(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctao_bdms.storage.sources import LocalSource

    genuine, calls = LocalSource.read_at, list[int]()

    def flipping(self: LocalSource, buffer: memoryview, position: int) -> int:
        count = genuine(self, buffer, position)
        if not calls:
            buffer[0] ^= 1
        calls.append(count)
        return count

    monkeypatch.setattr(LocalSource, "read_at", flipping)
    moved: list[int] = []
    (fetched,) = Bdms(archive, policy=Policy.load()).retrieve(archive.lfns[:1], tmp_path / "to", on_bytes=moved.append)
    assert (fetched.status, fetched.rse, fetched.troubles) == (Fetching.FETCHED, CSCS, ())
    assert fetched.path.read_bytes() == archive.contents[0]
    assert moved == [100_000, -100_000, 100_000]


@pytest.mark.parametrize("harm", ["flipped", "cut"])
@pytest.mark.parametrize("where", ["the only copy", "all copies"])
def test_the_last_copy_is_never_declared_bad(archive: Archive, tmp_path: Path, harm: str, where: str) -> None:
    lfn, content = archive.lfns[0], archive.contents[0]
    wrong = list(PLACES) if where == "all copies" else [ONSITE]
    for name in PLACES:
        archive.place(lfn, name).write_bytes(b"x" + content[1:] if harm == "flipped" else content[:-1])
    for name in {*PLACES} - {*wrong}:
        archive.declare_bad(lfn, name, "before")
    archive.bad.clear()
    (fetched,) = get(archive, [lfn], tmp_path / "to")
    assert fetched.status is Fetching.FAILED
    assert archive.bad == []
    assert {rse for _, rse in archive.suspicious} == {*wrong}
    assert {trouble.fault for trouble in fetched.troubles} == {Fault.BAD}
    assert all("fetch it on another machine" in str(trouble) for trouble in fetched.troubles)
    with pytest.raises(RetrievalError, match="fetch it on another machine"):
        open_file(archive, archive.rses(), lfn, verify=True)
    assert archive.bad == []


@pytest.mark.parametrize("sound", ["in two halves", "shut", "lost", "declared bad meanwhile"])
def test_a_copy_is_bad_only_beside_one_that_was_read_soundly_and_stays(
    large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: str
) -> None:
    from ctao_bdms.storage.sources import LocalSource

    (lfn,), rses = large.lfns, dict(large.rses())
    large.place(lfn, PIC).unlink()
    large.place(lfn, PIC).write_bytes(b"x" + large.contents[0][1:])
    genuine = LocalSource.read_at

    def reading(self: LocalSource, buffer: memoryview, position: int) -> int:
        if CSCS in str(self._file.path) and position >= 20 * MB:
            if sound == "in two halves":
                raise OSError(errno.EIO, "the disk is old")
            if sound == "declared bad meanwhile":
                InMemoryCatalogue.declare_bad(large, lfn, CSCS, "by another")
        return genuine(self, buffer, position)

    monkeypatch.setattr(LocalSource, "read_at", reading)
    if sound in {"shut", "lost"}:
        shut = {"is_readable": False} if sound == "shut" else {"lost": "fire"}
        rses = {name: attrs.evolve(rse, **shut) if name != PIC else rse for name, rse in rses.items()}
    (fetched,) = retrieve(large, rses, [lfn], tmp_path / "to", near="PIC")
    assert fetched.status is Fetching.FETCHED
    assert fetched.sound == ("" if sound == "in two halves" else CSCS)
    assert fetched.troubles[0].fault is Fault.BAD
    assert "it was not declared bad" in fetched.troubles[0].told
    assert large.bad == []
    assert (lfn, PIC) in large.suspicious


class Reader(Archive):
    """As an account of a person sees it, or one that may only read."""

    may_suspect = True

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        raise ForbiddenError("only the operators of the centre")

    def declare_suspicious(self, lfn: Lfn, rse: str, reason: str) -> None:
        if not self.may_suspect:
            raise ForbiddenError("an account without a role may only read")
        super().declare_suspicious(lfn, rse, reason)


@pytest.mark.parametrize("may_suspect", [True, False])
def test_who_may_not_declare_gets_the_file_and_a_warning_with_the_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, may_suspect: bool
) -> None:
    archive = Reader(tmp_path / "storage", [b"photons"])
    archive.may_suspect = may_suspect
    lfn, place = archive.lfns[0], archive.place(archive.lfns[0], CSCS)
    place.write_bytes(b"Photons")
    with caplog.at_level(logging.WARNING):
        (fetched,) = get(archive, [lfn], tmp_path / "to")
    assert fetched.status is Fetching.FETCHED
    assert f"rucio replica state update bad file://localhost{place} --reason" in caplog.text
    assert fetched.troubles[0].told in caplog.text
    assert list(archive.suspicious) == [(lfn, CSCS)] * may_suspect


# Unfinished files


class KillAt(Progress):
    """Ends a retrieval in the middle, as ^C does."""

    def __init__(self, size_bytes: int) -> None:
        self.left = size_bytes

    def moved(self, lfn: Lfn, count: int) -> None:
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt


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


def test_an_interrupted_file_is_continued(large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lfn,), folder = large.lfns, tmp_path / "to"
    with pytest.raises(KeyboardInterrupt):
        get(large, [lfn], folder, progress=KillAt(25 * MB))
    (part,) = folder.iterdir()
    assert part.name.startswith(f".{lfn.name}.")
    assert part.match(".*.part")
    there = part.stat().st_size
    assert 25 * MB <= there < 40 * MB
    assert counted(large, lfn, folder, monkeypatch) == 40 * MB - there


def test_a_part_that_was_damaged_is_fetched_anew(
    large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lfn,), folder = large.lfns, tmp_path / "to"
    with pytest.raises(KeyboardInterrupt):
        get(large, [lfn], folder, progress=KillAt(25 * MB))
    (part,) = folder.iterdir()
    with part.open("r+b") as stream:
        stream.write(b"\0" * 1000)
    assert counted(large, lfn, folder, monkeypatch) == 40 * MB - part_size(25) + 40 * MB
    assert not large.bad, "the copy was blamed for a part that was wrong"


def part_size(megabytes: int) -> int:
    """Return where a retrieval in pieces ends that is interrupted after so many bytes."""
    piece = 4 << 20
    return -(-megabytes * MB // piece) * piece


def test_a_part_of_other_content_is_thrown_away(large: Archive, tmp_path: Path) -> None:
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


def test_the_next_copy_continues_where_the_first_one_fails(
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


def test_a_bad_first_half_is_not_blamed_on_the_second_copy(
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


def test_two_retrievals_into_one_folder_do_not_harm_each_other(large: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "to"
    with ThreadPoolExecutor(6) as pool:
        several = list(pool.map(lambda _: get(large, large.lfns, folder)[0], range(6)))
    assert sorted(each.status for each in several) == ["fetched", *["present"] * 5]
    assert names(folder) == [large.lfns[0].name]
    assert (folder / large.lfns[0].name).read_bytes() == large.contents[0]


def test_who_waits_for_another_can_be_interrupted(archive: Archive, tmp_path: Path) -> None:
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


def test_a_killed_process_leaves_what_the_next_one_continues(
    large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


# Space and targets


def test_where_there_is_no_room_nothing_is_fetched(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = os.statvfs

    class Full(NamedTuple):
        f_bavail: int
        f_frsize: int

    monkeypatch.setattr(os, "statvfs", lambda path: Full(17_000_000 // 4096, genuine(path).f_frsize and 4096))
    with pytest.raises(NoSpaceError, match=r"0\.017 GB free, and 0\.001 GB|GB are needed; make room") as caught:
        get(archive, archive.lfns, tmp_path / "deep" / "to")
    assert (caught.value.needed_bytes, caught.value.errno) == (500_000, errno.ENOSPC)
    assert not (tmp_path / "deep").exists()
    assert get(archive, archive.lfns[:1], tmp_path / "to")[0].status is Fetching.FETCHED


def test_a_target_that_cannot_be_written_is_not_the_fault_of_the_copies(archive: Archive, tmp_path: Path) -> None:
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


# HTTP


class Web(http.server.ThreadingHTTPServer):
    """A small web server with the moods of real ones."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked, self.sent, self.connections = folder, [], 0, 0  # type: ignore[var-annotated]
        self.mood: Callable[[Handler], bool] = lambda _: False
        self.ranges = True
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Web
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(200, b"", {}, (self.server.folder / self.path[1:]).stat().st_size)

    def do_GET(self) -> None:
        span = self.headers["Range"] or ""
        self.server.asked.append((self.path, span))
        if self.server.mood(self):
            return
        path = self.server.folder / self.path[1:]
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        if not self.server.ranges:
            self.answer(200, data, {})
            return
        first, last = (int(text) for text in span.removeprefix("bytes=").split("-"))
        last = min(last, len(data) - 1)
        if first >= len(data):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        else:
            self.answer(206, data[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def answer(self, status: int, body: bytes, headers: Mapping[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True
        self.server.sent += len(body)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path / "storage") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("ranges", [True, False])
def test_files_come_by_http_over_few_connections(archive: Archive, web: Web, tmp_path: Path, ranges: bool) -> None:
    archive.doors, web.ranges = {CSCS: (web.url,)}, ranges
    fetched = get(archive, archive.lfns, tmp_path / "to", jobs=2)
    assert {(each.status, each.rse) for each in fetched} == {(Fetching.FETCHED, CSCS)}
    assert [each.path.read_bytes() for each in fetched] == archive.contents
    assert len(web.asked) == len(archive.lfns), "one request a file"
    assert web.connections <= 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("ranges", [True, False])
def test_a_fork_does_not_take_bytes_from_an_answer_of_the_parent(large: Archive, web: Web, ranges: bool) -> None:
    web.ranges, content = ranges, large.contents[0]
    large.doors = dict.fromkeys(PLACES, (web.url,))
    fork = multiprocessing.get_context("fork")
    with open_file(large, large.rses(), large.lfns[0]) as stream:
        assert stream.read(100) == content[:100]
        for _ in range(3):
            answers = fork.SimpleQueue()
            child = fork.Process(target=lambda answers=answers: answers.put(stream.read() == content[100:]))
            child.start()
            assert stream.read(MB) == content[stream.tell() - MB : stream.tell()]
            child.join(60)
            assert child.exitcode == 0
            assert answers.get()
            assert stream.seek(100) == 100
        assert stream.read() == content[100:]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_large_file_is_continued_by_http(large: Archive, web: Web, tmp_path: Path, ranges: bool) -> None:
    large.doors, web.ranges = {CSCS: (web.url,)}, ranges
    with pytest.raises(KeyboardInterrupt):
        get(large, large.lfns, tmp_path / "to", progress=KillAt(15 * MB))
    web.asked.clear()
    (fetched,) = get(large, large.lfns, tmp_path / "to")
    assert (fetched.rse, fetched.path.read_bytes()) == (CSCS, large.contents[0])
    assert web.asked[0][1].startswith(f"bytes={part_size(15)}-")


def test_bad_bytes_by_http_are_declared(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.doors = {CSCS: (web.url,)}
    archive.place(archive.lfns[0], CSCS).write_bytes(b"B" * 100_000)
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert fetched.rse == PIC
    assert archive.bad == [(str(archive.lfns[0]), CSCS)]
    assert len(web.asked) == 2, "read twice before it is called bad"


def test_a_size_that_is_wrong_once_or_at_one_door_is_not_the_fault_of_the_copy(
    archive: Archive, web: Web, tmp_path: Path
) -> None:
    lfn, asked = archive.lfns[0], list[str]()
    archive.doors = {CSCS: (web.url,)}

    def asking_who_one_is(handler: Handler) -> bool:
        asked.append(handler.path)
        if len(asked) == 1 or handler.path.startswith("/portal"):
            handler.answer(200, b"<html>Who are you?</html>", {})
            return True
        return False

    web.mood = asking_who_one_is
    (fetched,) = get(archive, [lfn], tmp_path / "once")
    assert (fetched.rse, fetched.troubles) == (CSCS, ())
    archive.doors = {CSCS: (f"{web.url}/portal", web.url)}
    (fetched,) = get(archive, [lfn], tmp_path / "one door")
    assert (fetched.rse, fetched.troubles) == (CSCS, ())
    with open_file(archive, archive.rses(), lfn) as stream:
        assert stream.read() == archive.contents[0]
    assert not archive.bad
    assert not archive.suspicious


@pytest.mark.parametrize(
    ("status", "fault"), [(404, Fault.SUSPICIOUS), (403, Fault.OUT_OF_REACH), (503, Fault.OUT_OF_REACH)]
)
def test_what_a_server_says_is_understood(
    archive: Archive, web: Web, tmp_path: Path, status: int, fault: Fault
) -> None:
    archive.doors = {CSCS: (web.url,)}

    def refusing(handler: Handler) -> bool:
        handler.send_error(status)
        return True

    web.mood = refusing
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (PIC, [fault])
    assert str(status) in fetched.troubles[0].reason


def test_a_server_that_breaks_off_is_left_for_the_next_copy(large: Archive, web: Web, tmp_path: Path) -> None:
    large.doors = {CSCS: (web.url,), PIC: (web.url,)}

    def breaking(handler: Handler) -> bool:
        if CSCS not in handler.path:
            return False
        data = large.contents[0]
        headers = {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
        handler.answer(206, data[: 30 * MB], headers, len(data))
        handler.close_connection = True
        return True

    web.mood = breaking
    (fetched,) = get(large, large.lfns, tmp_path / "to")
    assert (fetched.rse, fetched.path.read_bytes()) == (PIC, large.contents[0])
    assert [trouble.fault for trouble in fetched.troubles] == [Fault.OUT_OF_REACH]
    assert "breaks off" in fetched.troubles[0].reason or "ends at byte" in fetched.troubles[0].reason
    path, span = web.asked[-1]
    assert path.startswith(f"/{PIC}/")
    assert span.startswith(f"bytes={7 * (4 << 20)}-"), "what the first copy gave is not fetched again"


def test_nobody_at_the_door_and_the_next_door_opens(archive: Archive, web: Web, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    archive.doors = {CSCS: (nobody, "gopher://old", web.url)}
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert (fetched.rse, fetched.troubles) == (CSCS, ())
    with Sources() as sources, pytest.raises(UnreachableError, match="does not answer"):
        sources.open(f"{nobody}/x")
    with Sources() as sources, pytest.raises(InvalidNameError, match="gopher"):
        sources.open("gopher://old/x")


def test_a_proxy_that_is_none_is_named_and_no_copy_is_blamed_for_it(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = tmp_path / "x509up_u1000"
    proxy.write_text("this is no certificate")
    monkeypatch.setenv("X509_USER_PROXY", str(proxy))
    archive.doors = {CSCS: ("https://127.0.0.1:9",), PIC: ("davs://127.0.0.1:9",)}
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert fetched.rse == ONSITE
    assert [trouble.fault for trouble in fetched.troubles] == [Fault.OUT_OF_REACH] * 2
    assert f"X509_USER_PROXY, {proxy}, holds no certificate" in fetched.troubles[0].reason
    assert "make a new proxy" in fetched.troubles[0].reason
    open_file(archive, archive.rses(), archive.lfns[0]).close()
    assert not archive.suspicious


def test_a_token_that_is_none_is_named_and_not_shown(
    archive: Archive, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("X509_USER_PROXY", "BEARER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    token = tmp_path / "token"
    token.write_text("eyJhbGciOi\n# my token")
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(token))
    archive.doors = {CSCS: ("https://127.0.0.1:9",)}
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert [trouble.fault for trouble in fetched.troubles] == [Fault.OUT_OF_REACH]
    assert f"{token} holds no token" in fetched.troubles[0].reason
    assert "eyJ" not in str(fetched)
    archive.doors = {CSCS: (web.url,)}
    assert get(archive, archive.lfns[1:2], tmp_path / "to")[0].rse == CSCS, "without TLS no token is shown"


@pytest.mark.parametrize(
    "door", ["http://127.0.0.1:port", "http://[::1", "http://127.0.0.1:9/a b", "http://127.0.0.1:9/\u03b3", "redirect"]
)
def test_a_url_that_makes_no_sense_stops_nothing(
    archive: Archive, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    def leading_astray(handler: Handler) -> bool:
        handler.answer(302, b"", {"Location": "http://[::1/x"})
        return True

    web.mood = leading_astray
    archive.doors = {CSCS: (web.url if door == "redirect" else door,)}
    fetched = get(archive, archive.lfns[:2], tmp_path / "to")
    assert [each.rse for each in fetched] == [PIC, PIC]
    assert {trouble.fault for each in fetched for trouble in each.troubles} == {Fault.OUT_OF_REACH}
    assert not archive.suspicious


def test_a_page_of_unknown_length_says_nothing_of_the_copy(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.doors = {CSCS: (web.url,)}

    def asking_who_one_is(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"<html>Who are you?</html>")
        return True

    web.mood = asking_who_one_is
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (PIC, [Fault.OUT_OF_REACH])


def test_a_server_without_ranges_that_breaks_off_early_is_out_of_reach(
    large: Archive, web: Web, tmp_path: Path
) -> None:
    large.doors, web.ranges = {CSCS: (web.url,)}, False
    with pytest.raises(KeyboardInterrupt):
        get(large, large.lfns, tmp_path / "to", progress=KillAt(15 * MB))

    def breaking(handler: Handler) -> bool:
        handler.answer(200, large.contents[0][: 3 * MB], {}, 40 * MB)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        return True

    web.mood = breaking
    (fetched,) = get(large, large.lfns, tmp_path / "to")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (PIC, [Fault.OUT_OF_REACH])
    assert fetched.path.read_bytes() == large.contents[0]


def test_sizes_are_told_whatever_was_expected(archive: Archive, web: Web) -> None:
    url = f"{web.url}/{CSCS}{archive.lfns[1]}"
    buffer = memoryview(bytearray(200_000))
    with Sources() as sources:
        for expected in (None, 0, 1, 100_000):
            source = sources.open(url, 0, expected)
            assert source.size_bytes == 100_000
            assert source.read_at(buffer, 10) == 99_990
            assert bytes(buffer[:99_990]) == archive.contents[1][10:]
            assert source.read_at(buffer, 100_000) == 0
            source.close()
        for position in (0, 150_000):
            source = sources.open(url, position, 200_000)
            assert source.size_bytes == 100_000
            assert source.read_at(buffer, 0) == 100_000
            source.close()


def test_redirects_are_followed_and_circles_are_not(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.doors = {CSCS: (web.url,)}

    def moving(handler: Handler) -> bool:
        if handler.path.startswith("/pool"):
            handler.path = handler.path.removeprefix("/pool")
            return False
        handler.answer(302, b"", {"Location": f"/pool{handler.path}"})
        return True

    web.mood = moving
    assert get(archive, archive.lfns[:1], tmp_path / "to")[0].rse == CSCS

    def circling(handler: Handler) -> bool:
        handler.answer(307, b"", {"Location": handler.path})
        return True

    web.mood = circling
    (fetched,) = get(archive, archive.lfns[1:2], tmp_path / "to")
    assert "circle" in fetched.troubles[0].reason


def test_a_connection_that_the_server_has_closed_is_replaced(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.doors = {CSCS: (web.url,)}

    def closing(handler: Handler) -> bool:
        handler.close_connection = True  # without saying so
        return False

    web.mood = closing
    fetched = get(archive, archive.lfns, tmp_path / "to", jobs=1)
    assert {(each.rse, each.troubles) for each in fetched} == {(CSCS, ())}


# Opening without keeping


@pytest.mark.parametrize("door", ["file", "http"])
def test_a_file_is_read_and_sought_where_it_lies(large: Archive, web: Web, door: str) -> None:
    large.doors = {CSCS: (web.url,)} if door == "http" else {}
    content = large.contents[0]
    with Bdms(large, policy=Policy.load()).open(large.lfns[0]) as stream:
        assert isinstance(stream, io.BufferedReader)
        assert stream.seekable()
        assert stream.read(10) == content[:10]
        assert stream.seek(-5, io.SEEK_END) == 40 * MB - 5
        assert stream.read() == content[-5:]
        assert stream.read(1) == b""
        assert stream.seek(30 * MB) == 30 * MB
        assert stream.seek(1000, io.SEEK_CUR) == 30 * MB + 1000
        assert stream.read(3 * MB) == content[30 * MB + 1000 : 33 * MB + 1000]
        with pytest.raises((ValueError, OSError)):
            stream.seek(-1)
        stream.seek(0)
        assert stream.read() == content
    assert stream.closed


def test_a_jump_does_not_fetch_what_lies_between(large: Archive, web: Web) -> None:
    large.doors = {CSCS: (web.url,)}
    with Bdms(large, policy=Policy.load()).open(large.lfns[0]) as stream:
        stream.seek(35 * MB)
        stream.read(100)
    assert web.sent < 8 * MB


def test_opening_falls_back_and_tells(archive: Archive, web: Web) -> None:
    lfn = archive.lfns[0]
    archive.doors = {CSCS: ("http://127.0.0.1:9",)}
    archive.place(lfn, PIC).write_bytes(b"x" * 100_000)
    rses, health = archive.rses(), Health()
    with open_file(archive, rses, lfn, health=health) as stream:
        assert stream.read(1) == b"x", "without verify only the size is compared"
    with open_file(archive, rses, lfn, verify=True, health=health) as stream:
        assert stream.read() == archive.contents[0]
    assert archive.bad == [(str(lfn), PIC)]
    archive.place(lfn, ONSITE).write_bytes(b"short")
    with pytest.raises(RetrievalError, match="size 5"):
        open_file(archive, rses, lfn)
    assert archive.bad == [(str(lfn), PIC)], "who has not read a sound copy does not say that others are bad"
    assert list(archive.suspicious) == [(lfn, ONSITE)]
    assert health.failures(CSCS) == 2


def test_a_wrong_size_is_bad_only_for_who_has_read_another_copy(archive: Archive) -> None:
    lfn = archive.lfns[0]
    archive.place(lfn, CSCS).write_bytes(b"short")
    open_file(archive, archive.rses(), lfn).close()
    assert (archive.bad, list(archive.suspicious)) == ([], [(lfn, CSCS)])
    open_file(archive, archive.rses(), lfn, verify=True).close()
    assert archive.bad == [(str(lfn), CSCS)]


def test_a_copy_that_opens_by_its_second_door_is_not_blamed(archive: Archive, web: Web) -> None:
    lfn, health = archive.lfns[0], Health()
    archive.doors = {CSCS: (f"{web.url}/nothing-here", web.url)}
    with open_file(archive, archive.rses(), lfn, health=health) as stream:
        assert stream.read() == archive.contents[0]
    assert not archive.suspicious
    assert health.failures(CSCS) == 0
    assert web.asked[-1][0].startswith(f"/{CSCS}")
    archive.doors = {CSCS: ("http://127.0.0.1:9", f"{web.url}/nothing-here")}
    open_file(archive, archive.rses(), lfn, health=health).close()
    assert list(archive.suspicious) == [(lfn, CSCS)], "one copy, whatever the number of its doors"
    assert [len(reasons) for reasons in archive.suspicious.values()] == [1]
    assert health.failures(CSCS) == 1


@pytest.mark.parametrize("door", ["file", "http"])
def test_what_becomes_shorter_while_it_is_open_does_not_look_like_the_end(large: Archive, web: Web, door: str) -> None:
    large.doors = {CSCS: (web.url,)} if door == "http" else {}
    reads: tuple[Callable[[io.BufferedReader], bytes], ...] = (
        lambda stream: stream.read(),
        lambda stream: stream.read(20 * MB),
        lambda stream: b"".join(stream),
    )
    for read in reads:
        large.place(large.lfns[0], ONSITE).write_bytes(b"x" * 40 * MB)
        with Bdms(large, policy=Policy.load()).open(large.lfns[0]) as stream:
            stream.seek(30 * MB)
            stream.read(1)
            os.truncate(large.place(large.lfns[0], ONSITE), 35 * MB)
            with pytest.raises(OSError, match="changed while it was being read"):
                read(stream)


def test_astropy_reads_an_open_file(tmp_path: Path, web: Web) -> None:
    import numpy as np
    from astropy.io import fits

    image = np.arange(1_000_000, dtype=">f4").reshape(1000, 1000)
    memory = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(image), fits.ImageHDU(image[:10], name="SMALL")]).writeto(memory)
    archive = Archive(tmp_path / "storage", [memory.getvalue()])
    for door in ((), (web.url,)):
        archive.doors[CSCS] = door
        with Bdms(archive, policy=Policy.load()).open(archive.lfns[0]) as stream, fits.open(stream) as hdus:
            assert np.array_equal(hdus["SMALL"].data, image[:10])
            assert np.array_equal(hdus[0].data, image)


# Telling people


def test_copies_are_located_by_protocol(archive: Archive) -> None:
    archive.doors = {CSCS: ("http://a", "root://a/"), PIC: ("root://b/",)}
    copies = locate(archive, archive.rses(), archive.lfns[:1], near="PIC", protocol="root")
    assert [(copy.rse, copy.pfn.partition("//")[0]) for copy in copies] == [(PIC, "root:"), (CSCS, "root:")]
    assert [copy.rse for copy in Bdms(archive, policy=Policy.load()).locate(archive.lfns[:1], near="CSCS")] == [
        CSCS,
        PIC,
        ONSITE,
    ]
    assert len(Bdms(archive, policy=Policy.load()).locate(archive.lfns[0].parent)) == 6


def test_bars_move_for_all_and_for_each_large_file(large: Archive, tmp_path: Path) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Output(console=screen).files_bar("fetching") as bar:
        retrieve(large, large.rses(), large.lfns, tmp_path / "to", progress=bar)
        bar._bars.refresh()
        shown = screen.file.getvalue()  # type: ignore[attr-defined]
        assert "fetching 1 of 1" in shown
        assert [task.completed for task in bar._bars.tasks] == [40 * MB]


def test_without_a_terminal_a_line_comes_now_and_then(large: Archive) -> None:
    now, lines = [0.0], list[str]()
    output = Output(console=Console(file=io.StringIO(), force_terminal=False))
    with output.files_bar("fetching") as plain:
        bar = FilesBar(plain._bars, "fetching", lines.append, clock=lambda: now[0])
        file = large.files(large.lfns)[large.lfns[0]]
        bar.begin(3, 80 * MB)
        bar.start(file)
        bar.moved(file.lfn, 10 * MB)
        assert lines == []
        now[0] = 10.0
        bar.moved(file.lfn, 10 * MB)
        bar.moved(file.lfn, 10 * MB)
        assert lines == ["fetching: 0 of 3 files, 25% of the bytes"]
