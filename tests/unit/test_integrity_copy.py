from __future__ import annotations

import errno
import hashlib
import os
import zlib
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.errors import BdmsError, UsageError
from ctao_bdms.integrity import (
    TEMPORARY_PATTERN,
    ChecksumMismatchError,
    NotAFileError,
    SourceChangedError,
    UnreadableError,
    copy_verified,
    digest_file,
)
from ctao_bdms.integrity.source import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=[0, 1, 1000, 6 * CHUNK_BYTES + 5], ids=["empty", "one byte", "small", "large"])
def content(request: pytest.FixtureRequest) -> bytes:
    return os.urandom(request.param)


@pytest.fixture
def source(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("fsync", [True, False])
def test_the_copy_is_the_source(source: Path, content: bytes, folder: Path, fsync: bool) -> None:
    adler32, sha256 = f"{zlib.adler32(content):08x}", hashlib.sha256(content).hexdigest()
    told: list[int] = []
    done = copy_verified(
        source,
        folder / "copy",
        size_bytes=len(content),
        adler32=adler32.upper(),
        sha256=sha256,
        on_bytes=told.append,
        fsync=fsync,
    )
    assert (folder / "copy").read_bytes() == content
    assert (done.size_bytes, done.digests) == (len(content), {"adler32": adler32, "sha256": sha256})
    assert sum(told) == len(content)
    assert names(folder) == ["copy"]
    assert digest_file(folder / "copy") == (len(content), {"adler32": adler32})
    assert digest_file(folder / "copy", ("sha256", "md5")).digests == {
        "sha256": sha256,
        "md5": hashlib.md5(content).hexdigest(),
    }


def test_without_expectations_the_adler32_is_told(source: Path, content: bytes, folder: Path) -> None:
    assert copy_verified(source, folder / "copy") == (len(content), {"adler32": f"{zlib.adler32(content):08x}"})


@pytest.mark.parametrize(
    ("what", "expectation"),
    [("size", {"size_bytes": 7}), ("adler32", {"adler32": "00000000"}), ("sha256", {"sha256": "0" * 64})],
)
def test_what_is_not_as_expected_leaves_the_target_as_it_was(
    source: Path, folder: Path, what: str, expectation: dict[str, object]
) -> None:
    (folder / "copy").write_bytes(b"before")
    with pytest.raises(ChecksumMismatchError) as caught:
        copy_verified(source, folder / "copy", **expectation)  # type: ignore[arg-type]
    assert caught.value.what == what
    assert str(caught.value.expected) in str(caught.value)
    assert str(caught.value.found) in str(caught.value)
    assert isinstance(caught.value, BdmsError)
    assert (folder / "copy").read_bytes() == b"before"
    assert names(folder) == ["copy"]


def test_a_good_copy_takes_the_place_of_what_was_there(source: Path, content: bytes, folder: Path) -> None:
    (folder / "copy").write_bytes(b"before")
    copy_verified(source, folder / "copy")
    assert (folder / "copy").read_bytes() == content


@pytest.mark.parametrize("what", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_copy_leaves_nothing(tmp_path: Path, folder: Path, what: type[BaseException]) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"x" * 3 * CHUNK_BYTES)
    seen: list[str] = []

    def interrupt(_: int) -> None:
        seen.extend(found.name for found in folder.glob(TEMPORARY_PATTERN))
        raise what

    with pytest.raises(what):
        copy_verified(path, folder / "copy", on_bytes=interrupt)
    assert len(seen) == 1
    assert names(folder) == []


@pytest.mark.parametrize(
    "change",
    [lambda path: os.truncate(path, 10), lambda path: os.utime(path, ns=(1, 1)), lambda path: path.unlink()],
    ids=["shrinks", "touched", "removed"],
)
def test_a_source_that_changes_is_not_copied(tmp_path: Path, folder: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"x" * 3 * CHUNK_BYTES)
    pending = [change]
    with pytest.raises(SourceChangedError) as caught:
        copy_verified(path, folder / "copy", on_bytes=lambda _: pending.pop()(path) if pending else None)
    assert caught.value.transient
    assert names(folder) == []


def test_sources_that_cannot_be_read(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        copy_verified(tmp_path / "none", folder / "copy")
    with pytest.raises(NotAFileError, match="directory"):
        copy_verified(tmp_path, folder / "copy")
    with pytest.raises(UnreadableError, match="at byte 0") as caught:
        copy_verified("/proc/self/mem", folder / "copy")
    assert caught.value.errno == errno.EIO
    assert names(folder) == []


def test_targets_that_cannot_be_written(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"x")
    (folder / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(FileNotFoundError):
        copy_verified(path, folder / "none" / "copy")
    with pytest.raises(NotADirectoryError):
        copy_verified(path, path / "copy")
    with pytest.raises(OSError, match="director"):
        copy_verified(path, folder / "folder")
    assert names(folder) == ["folder"]


def test_a_full_medium_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    import resource
    import signal

    path = tmp_path / "source"
    path.write_bytes(b"x" * 3 * CHUNK_BYTES)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK_BYTES, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            copy_verified(path, folder / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert names(folder) == []


def test_the_longest_name_can_be_copied(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"x")
    copy_verified(path, folder / ("n" * 255))
    assert names(folder) == ["n" * 255]


@pytest.mark.parametrize("algorithm", ["crc33", "shake_128", ""])
def test_a_digest_that_does_not_exist(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UsageError, match="unknown digest"):
        digest_file(tmp_path / "x", (algorithm,))
