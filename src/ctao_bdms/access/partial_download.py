"""Files that are not whole yet: they lie beside their target, are one process's at a time, and can be continued.

The name of a part holds a digest of what it is to become, so that no other content is ever continued. How much of it is
right, nobody needs to note: its bytes are read back before more are added, so the digest at the end is one of what lies
on the disk.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ctao_bdms.integrity.checksums import new_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctao_bdms.model import ArchivedFile
    from ctao_bdms.storage.sources import Source

__all__ = ["PartialDownload", "StoppedError", "TargetError", "clear_stale", "open_part", "part_of"]

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"\.(?P<stem>.+)\.(?P<key>[0-9a-f]{12})\.part", re.ASCII)
#: A file name has at most 255 characters; the rest is for dots, digest and ending.
_STEM = 230
_PIECE_BYTES = 4 << 20
_LOCK_POLL_S = 0.1
_THREAD = threading.local()
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


class StoppedError(Exception):
    """The retrieval was stopped; it can be continued."""


class TargetError(Exception):
    """The partial download cannot be read or written; the cause says why."""


def part_of(target: Path, file: ArchivedFile) -> Path:
    """Return the path of the partial download of `file`."""
    key = hashlib.sha256(f"{file.lfn} {file.size_bytes} {file.adler32}".encode()).hexdigest()[:12]
    return target.with_name(f".{target.name[:_STEM]}.{key}.part")


def clear_stale(folder: Path, wanted: set[Path]) -> dict[Path, int]:
    """Remove parts in `folder` that were to become other content of one of the files `wanted`.

    Parameters
    ----------
    folder
        The folder; it need not exist.
    wanted
        The parts that can be continued.

    Returns
    -------
    dict
        The sizes in bytes of the parts that can be continued.
    """
    stems = {match["stem"] for path in wanted if (match := _NAME.fullmatch(path.name))}
    sizes: dict[Path, int] = {}
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".part")]  # noqa: PTH208 - names are enough
    except FileNotFoundError:
        return sizes
    for name in names:
        path, match = folder / name, _NAME.fullmatch(name)
        if path in wanted:
            sizes[path] = path.stat().st_size
        elif match and match["stem"] in stems:
            with suppress(OSError, TargetError):  # if it cannot be removed, it is in nobody's way
                _remove_unused(path)
    return sizes


def _remove_unused(path: Path) -> None:
    """Remove a partial download that no process owns."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if _lock(descriptor):
            _LOG.info("%s was to become other content; it is removed", path)
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _buffer() -> memoryview:
    """Return the buffer of this thread, as a new one costs more than a small file."""
    if not hasattr(_THREAD, "buffer"):
        _THREAD.buffer = memoryview(bytearray(_PIECE_BYTES))
    buffer: memoryview = _THREAD.buffer
    return buffer


class PartialDownload:
    """A partial download that this process owns.

    Attributes
    ----------
    path
        Where it lies.
    size_bytes
        How many of its bytes are there, and in the digest.
    """

    def __init__(self, path: Path, descriptor: int, file: ArchivedFile, stop: threading.Event) -> None:
        self.path = path
        self.size_bytes = 0
        self._descriptor = descriptor
        self._file = file
        self._stop = stop
        self._digest = new_digest("adler32")
        self._buffer = _buffer()

    @property
    def adler32(self) -> str:
        """The Adler-32 of its bytes."""
        return self._digest.hexdigest()

    def take_up(self, on_bytes: Callable[[int], object]) -> None:
        """Read the bytes of an earlier try, so that they need not be fetched again.

        Raises
        ------
        TargetError
            If it cannot be read.
        StoppedError
            If the work was given up.
        """
        try:
            if os.fstat(self._descriptor).st_size > self._file.size_bytes:
                self.begin_anew()
            while count := os.preadv(self._descriptor, [self._buffer], self.size_bytes):
                self._count(self._buffer[:count], on_bytes)
        except OSError as error:
            raise TargetError from error

    def begin_anew(self) -> None:
        """Throw away all bytes."""
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise TargetError from error
        self.size_bytes, self._digest = 0, new_digest("adler32")

    def fill(self, source: Source, on_bytes: Callable[[int], object]) -> None:
        """Add the missing bytes from a source of the right size.

        Raises
        ------
        OSError
            If the source cannot be read.
        TargetError
            If the part cannot be written.
        StoppedError
            If the work was given up.
        """
        while self.size_bytes < self._file.size_bytes:
            room = self._buffer[: self._file.size_bytes - self.size_bytes]
            count = source.read_at(room, self.size_bytes)
            if not count:
                raise OSError(errno.EIO, f"it ends at byte {self.size_bytes} of {self._file.size_bytes}")
            self._write(room[:count])
            self._count(room[:count], on_bytes)

    def become(self, target: Path) -> None:
        """Rename to the target, once the bytes are on the disk.

        Raises
        ------
        TargetError
            If that cannot be.
        """
        try:
            os.fsync(self._descriptor)
            self.path.replace(target)
        except OSError as error:
            raise TargetError from error

    def _write(self, piece: memoryview) -> None:
        position = self.size_bytes
        try:
            while piece:
                count = os.pwrite(self._descriptor, piece, position)
                piece, position = piece[count:], position + count
        except OSError as error:
            raise TargetError from error

    def _count(self, piece: memoryview, on_bytes: Callable[[int], object]) -> None:
        self._digest.update(piece)
        self.size_bytes += len(piece)
        on_bytes(len(piece))
        if self._stop.is_set():
            raise StoppedError


@contextmanager
def open_part(target: Path, file: ArchivedFile, stop: threading.Event) -> Iterator[PartialDownload | None]:
    """Open or make the partial download of a file; wait for another process that owns it.

    Yields
    ------
    Part or None
        The part; None if the target is there, because another process has made it meanwhile.

    Raises
    ------
    TargetError
        If it cannot be made.
    StoppedError
        If the work was given up.
    """
    path = part_of(target, file)
    descriptor: int | None = None
    try:
        while descriptor is None:
            descriptor = _own(path, stop)
        yield None if target.exists() else PartialDownload(path, descriptor, file, stop)
    finally:
        if descriptor is not None:
            if _same(path, descriptor) and (target.exists() or not os.fstat(descriptor).st_size):
                path.unlink()  # nothing of it is of use
            os.close(descriptor)


def _own(path: Path, stop: threading.Event) -> int | None:
    """Open and lock a partial download; None if it was renamed or removed before it was locked."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise TargetError from error
    try:
        while not _lock(descriptor):
            if stop.wait(_LOCK_POLL_S):
                raise StoppedError
        if _same(path, descriptor):
            kept, descriptor = descriptor, -1
            return kept
        return None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file; return True if that worked, or if its file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise TargetError from error
    return True


def _same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
