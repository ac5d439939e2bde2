"""Read a file in one pass with a reused buffer, and slow digests in a thread."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from ctao_bdms.integrity.errors import NotAFileError, SourceChangedError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CHUNK_BYTES", "SourceFile", "open_source", "will_need"]

#: About 1 MiB (fits into a core's second cache) and whole FITS blocks as well as whole pages: 6 x lcm(2880, 4096).
CHUNK_BYTES = 6 * 184_320

#: File size above which slow digests run in a thread of their own, in bytes.
_THREAD_ABOVE_BYTES = 4 * CHUNK_BYTES

#: Number of buffers, by which a slow digest may lag behind the reading.
_RING = 4

_KINDS = (
    (stat.S_ISDIR, "directory"),
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
)


class SourceFile:
    """A regular file that is open for one pass.

    Attributes
    ----------
    descriptor
        The open file descriptor.
    status
        The result of fstat when it was opened.
    size_bytes
        Its size when it was opened.
    """

    def __init__(self, path: str, descriptor: int, status: os.stat_result) -> None:
        self.path = path
        self.descriptor = descriptor
        self.status = status
        self.size_bytes = status.st_size

    def read_through(
        self,
        sink: Callable[[memoryview], object],
        *,
        beside: Callable[[memoryview], object] | None = None,
        on_bytes: Callable[[int], object] | None = None,
    ) -> int:
        """Read the file once, from begin to end; then check it with `demand_unchanged`.

        Parameters
        ----------
        sink
            Called with every piece; the piece is overwritten when it returns.
        beside
            Also called with every piece, for a large file in a separate thread: for digests slower than the disk.
        on_bytes
            Called with the number of bytes of every piece.

        Returns
        -------
        int
            The number of bytes.

        Raises
        ------
        UnreadableError
            If the operating system fails to read.
        SourceChangedError
            If the size is not that when it was opened.
        """
        total = 0
        is_large = beside is not None and self.size_bytes > _THREAD_ABOVE_BYTES
        with ThreadPoolExecutor(1, thread_name_prefix="bdms-digest") if is_large else nullcontext() as executor:
            # One byte more than the file has, to detect a growing file without reading it for ever.
            length = min(CHUNK_BYTES, self.size_bytes + 1)
            ring = [memoryview(bytearray(length)) for _ in range(_RING if executor else 1)]
            running: deque[Future[object]] = deque()
            while total <= self.size_bytes:
                if len(running) == len(ring):
                    running.popleft().result()
                buffer = ring[0]
                ring.append(ring.pop(0))
                piece = buffer[: self._read_into(buffer, total)]
                if not piece:
                    break
                if beside is not None and executor is not None:
                    running.append(executor.submit(beside, piece))
                elif beside is not None:
                    beside(piece)
                sink(piece)
                total += len(piece)
                if on_bytes is not None:
                    on_bytes(len(piece))
                if total == self.size_bytes and len(piece) < length:
                    break  # a short read at the expected end: no probe for more bytes is needed
            for future in running:
                future.result()
        if total != self.size_bytes:
            raise SourceChangedError(self.path)
        return total

    def read_at(self, buffer: memoryview, position: int) -> int:
        """Read from `position` into a buffer; return the number of bytes, 0 at the end.

        Raises
        ------
        UnreadableError
            If the operating system fails to read.
        """
        try:
            return os.preadv(self.descriptor, [buffer], position)
        except OSError as error:
            raise UnreadableError(self.path, position, error) from error

    def first_bytes(self, count: int) -> memoryview:
        """Return the first bytes of the file, at most `count`.

        Raises
        ------
        UnreadableError
            If the operating system fails to read.
        """
        buffer = memoryview(bytearray(count))
        return buffer[: self.read_at(buffer, 0)]

    def demand_unchanged(self, *, with_status: bool = False) -> None:
        """Check that the path still leads to this file, and that it is unchanged.

        Parameters
        ----------
        with_status
            Whether to compare the ctime too, which no tool can reset. It also changes with mode, owner and links. A
            caller that compares digests with expected ones does not need it.

        Raises
        ------
        SourceChangedError
            If the file was changed or replaced.
        """
        if self._moved(with_status=with_status):
            raise SourceChangedError(self.path)

    def _read_into(self, buffer: memoryview, position: int) -> int:
        """Read the next bytes; return their number."""
        try:
            return os.readv(self.descriptor, [buffer])
        except OSError as error:
            raise UnreadableError(self.path, position, error) from error

    def _moved(self, *, with_status: bool) -> bool:
        """Return whether the file was changed or replaced."""
        try:
            now = os.stat(self.path)  # noqa: PTH116 - a path may be bytes that pathlib would change
        except OSError:
            return True
        before = self.status
        if with_status and now.st_ctime_ns != before.st_ctime_ns:
            return True
        return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
            before.st_dev,
            before.st_ino,
            before.st_size,
            before.st_mtime_ns,
        )


@contextmanager
def open_source(path: str | os.PathLike[str], *, keep_cached: bool = True) -> Iterator[SourceFile]:
    """Open a regular file for one pass; other kinds, which can block, are not opened.

    Parameters
    ----------
    path
        The file.
    keep_cached
        Whether the operating system may keep the file in the page cache. The daemon leaves that memory to the data
        acquisition.

    Raises
    ------
    NotAFileError
        If it is a directory, FIFO, socket or device.
    OSError
        If it cannot be opened, for example because it does not exist.
    """
    text = os.fspath(path)
    try:
        status = os.stat(text)  # noqa: PTH116
    except ValueError:
        # A path with a null character or a lone surrogate cannot exist.
        raise FileNotFoundError(errno.ENOENT, "invalid file name", text) from None
    _demand_regular(text, status.st_mode)
    descriptor = os.open(text, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _demand_regular(text, status.st_mode)
        if status.st_size > CHUNK_BYTES:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield SourceFile(text, descriptor, status)
    finally:
        if not keep_cached:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def will_need(path: str) -> None:
    """Prefetch the begin of a file that will be read soon, at most one piece.

    Errors are ignored: they are found when the file is read.
    """
    with suppress(OSError, ValueError):
        if stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.posix_fadvise(descriptor, 0, CHUNK_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


def _demand_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotAFileError(path, next((what for is_kind, what in _KINDS if is_kind(mode)), "special file"))
