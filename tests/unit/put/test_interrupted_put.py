"""An upload that dies, or meets another one, leaves nothing wrong."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.put.archive import FOLDER, NAME, NOW, SAID, Archive

from ctao_bdms.errors import UploadError
from ctao_bdms.ingest import Status
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import DefectKind, Lfn, RetentionClass
from ctao_bdms.replication import Policy, Replication
from ctao_bdms.storage import FileSink
from ctao_bdms.storage.sinks import temporary_prefix
from ctao_bdms.testing.products import write_dl1
from ctao_bdms.upload import Put
from ctao_bdms.upload.deliver import deliver
from ctao_bdms.upload.put import read_products

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.catalogue import InMemoryCatalogue

LATER = NOW + dt.timedelta(minutes=3)
_PERMANENT = RetentionClass.PERMANENT


class CrashError(BaseException):
    """The process dies."""


class Fragile:
    """A catalogue whose process dies before or after one of its calls."""

    def __init__(self, inner: InMemoryCatalogue, calls: Iterator[int], at: int, *, after: bool) -> None:
        self._inner, self._calls, self._at, self._after = inner, calls, at, after

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._inner, name)

        def call(*arguments: object, **keywords: object) -> object:
            dies = next(self._calls) == self._at
            if dies and not self._after:
                raise CrashError
            result = method(*arguments, **keywords)
            if dies:
                raise CrashError
            return result

        return call


@pytest.mark.parametrize("after", [False, True])
def test_put_that_dies_at_any_call_is_repaired_by_the_next(tmp_path: Path, dl1: Path, *, after: bool) -> None:
    items = read_products([(dl1, PurePath(dl1.name))], SAID, vo="ctao")  # once: each costs a process
    for at in range(100):
        archive = Archive(tmp_path / f"{at}")
        fragile = Fragile(archive.catalogue, itertools.count(), at, after=after)
        try:
            replication = Replication(fragile, Policy.load(), lambda: NOW)
            Put(catalogue=fragile, replication=replication, retention=_PERMANENT).run(items)
            is_over = True
        except CrashError:
            is_over = False
        for product in archive.bdms.query(scope="dpps"):
            (replica,) = archive.catalogue.files([product.lfn])[product.lfn].replicas
            stored = archive.home / replica.rse.removesuffix("-DISK") / str(product.lfn)[1:]
            assert stored.read_bytes() == dl1.read_bytes(), "the catalogue shows a file without bytes"
        later = Replication(archive.catalogue, Policy.load(), lambda: LATER)
        (outcome,) = Put(catalogue=archive.catalogue, replication=later, retention=_PERMANENT).run(items)
        assert outcome.status in {Status.REGISTERED, Status.KNOWN}
        assert len(archive.files_on_storage()) == 1
        assert outcome.lfn is not None
        (name,) = archive.blocks_of(outcome.lfn)
        (block,) = archive.catalogue.blocks("dpps", str(name))
        assert not block.is_open
        assert len(archive.catalogue.rules("dpps", [str(name)])[str(name)]) == 2
        if is_over:
            assert at > 5
            return
    pytest.fail("it never runs to its end")


KILLED = """
import os, signal, sys
from pathlib import Path
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import Lfn
from ctao_bdms.storage import FileSink, sinks
from ctao_bdms.upload.deliver import deliver

root, source, name, when = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if when == "reading back":
    sinks.LocalPartialFile.read_back = die
elif when == "committing":
    sinks.LocalPartialFile.commit = die
elif when == "committed":
    commit = sinks.LocalPartialFile.commit
    sinks.LocalPartialFile.commit = lambda part: commit(part) and die()
size, digests = digest_file(source)
sink = FileSink(Path(root))
deliver(sink, Path(source), Lfn(name), size_bytes=size, adler32=digests["adler32"],
        on_bytes=die if when == "copying" else lambda _: None)
"""


@pytest.mark.parametrize("when", ["copying", "reading back", "committing", "committed"])
def test_next_upload_removes_the_remains_of_a_killed_one(tmp_path: Path, dl1: Path, when: str) -> None:
    root, lfn = tmp_path / "pic", Lfn(f"{FOLDER}/{NAME}")
    command = [sys.executable, "-c", KILLED, str(root), str(dl1), str(lfn), when]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    folder = root / FOLDER[1:]
    left = sorted(path.name for path in folder.iterdir())
    assert any(name.startswith(temporary_prefix(lfn)) for name in left)
    assert (NAME in left) == (when == "committed")
    size, digests = digest_file(dl1)
    deliver(FileSink(root), dl1, lfn, size_bytes=size, adler32=digests["adler32"])
    assert (folder / NAME).read_bytes() == dl1.read_bytes()
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_bytes_corrupted_in_transfer_are_not_kept(tmp_path: Path, dl1: Path) -> None:
    lfn, size = Lfn(f"{FOLDER}/{NAME}"), dl1.stat().st_size
    with pytest.raises(UploadError, match="nothing was kept there"):
        deliver(FileSink(tmp_path / "pic"), dl1, lfn, size_bytes=size, adler32="00000001")
    assert not [path for path in (tmp_path / "pic").rglob("*") if path.is_file()]


def test_other_bytes_of_the_same_name_block_an_upload_until_they_are_old(tmp_path: Path, dl1: Path) -> None:
    lfn = Lfn(f"{FOLDER}/{NAME}")
    there = tmp_path / "pic" / FOLDER[1:] / NAME
    there.parent.mkdir(parents=True)
    there.write_bytes(b"another upload")
    size, digests = digest_file(dl1)
    sink = FileSink(tmp_path / "pic")
    with pytest.raises(UploadError, match="another upload of that name seems to be under way"):
        deliver(sink, dl1, lfn, size_bytes=size, adler32=digests["adler32"])
    assert there.read_bytes() == b"another upload"
    os.utime(there, (0, 0))
    deliver(sink, dl1, lfn, size_bytes=size, adler32=digests["adler32"])
    assert there.read_bytes() == dl1.read_bytes()


@pytest.mark.parametrize("found", [False, True])
def test_file_replaced_by_another_put_is_not_registered(archive: Archive, dl1: Path, *, found: bool) -> None:
    """A block takes long to upload: its first file looks abandoned, and another put replaces it."""
    second = write_dl1(dl1.with_name(NAME.replace("chunk000", "chunk001")), telescopes=(1,), seed=3)
    other = write_dl1(dl1.with_name("other.h5"), telescopes=(1,), seed=1, attributes={"OBS_ID": 2000000001})
    lfn, sink = Lfn(f"{FOLDER}/{NAME}"), FileSink(archive.home / "DESY")
    there = archive.home / "DESY" / FOLDER[1:] / NAME
    if found:  # an earlier attempt has died, not yet an hour ago
        size, digests = digest_file(dl1)
        deliver(sink, dl1, lfn, size_bytes=size, adler32=digests["adler32"])
        os.utime(there, (time.time() - 3500,) * 2)
    replaced: list[bool] = []

    def replace(_: int) -> None:
        if there.exists() and not replaced:
            replaced.append(True)
            archive.now += dt.timedelta(seconds=200 if found else 4000)
            os.utime(there, (time.time() - 4000,) * 2)
            size, digests = digest_file(other)
            deliver(sink, other, lfn, size_bytes=size, adler32=digests["adler32"])

    report = archive.bdms.put([dl1, second], product=SAID, near="DESY", jobs=1, on_uploaded=replace)
    assert replaced
    assert [outcome.status for outcome in report] == [Status.REFUSED, Status.REGISTERED]
    assert [defect.kind for defect in report[0].defects] == [DefectKind.STORAGE]
    assert "other bytes lie there than were brought" in report[0].defects[0].message
    assert not archive.catalogue.files([lfn])


def test_parallel_uploads_of_one_file_leave_one_copy(tmp_path: Path, dl1: Path) -> None:
    lfn, sink = Lfn(f"{FOLDER}/{NAME}"), FileSink(tmp_path / "pic")
    size, digests = digest_file(dl1)
    barrier, errors = threading.Barrier(8), []

    def upload() -> None:
        barrier.wait()
        try:
            deliver(sink, dl1, lfn, size_bytes=size, adler32=digests["adler32"])
        except (UploadError, OSError) as error:
            errors.append(error)

    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [path.name for path in (tmp_path / "pic").rglob("*") if path.is_file()] == [NAME]
    assert (tmp_path / "pic" / FOLDER[1:] / NAME).read_bytes() == dl1.read_bytes()
