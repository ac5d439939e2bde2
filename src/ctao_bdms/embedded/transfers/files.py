"""The mover for ``file://``: verified copies between local folders."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from ctao_bdms.durable import sync_folder, write_all
from ctao_bdms.embedded.transfers.jobs import Checksum
from ctao_bdms.embedded.transfers.refusals import InvalidRequestError, TransferAbandonedError, TransferFailedError
from ctao_bdms.embedded.transfers.urls import local_path
from ctao_bdms.integrity.checksums import new_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctao_bdms.embedded.transfers.jobs import Order

__all__ = ["FileMover"]

_BUFFER_BYTES = 1 << 20


class FileMover:
    """Copies local files.

    Parameters
    ----------
    roots
        The allowed folders of sources and destinations, with all links resolved; empty for all.
    """

    def __init__(self, roots: tuple[Path, ...] = ()) -> None:
        self._roots = roots

    def check(self, url: str) -> None:
        """Raise for a URL that can never be served.

        Raises
        ------
        InvalidRequestError
            If it is not a local file, or is outside the roots.
        """
        self._path(url)

    def move(self, order: Order, abandoned: Callable[[], bool]) -> int:
        """Make and verify one copy.

        The bytes are read once and digested while they are written to a temporary file. This file is flushed to disk,
        read back, and only then renamed. So a failed copy is never visible, and never damages an existing file.

        Parameters
        ----------
        abandoned
            Called repeatedly; the copy is abandoned once it returns True.

        Returns
        -------
        int
            The size in bytes.

        Raises
        ------
        TransferFailedError
            If the copy failed.
        TransferAbandonedError
            If it was abandoned.
        """
        source, target = self._path(order.source), self._path(order.destination)
        part = target.with_name(order.part)
        with _opened("SOURCE", source, os.O_RDONLY | os.O_NONBLOCK) as reader:
            before = os.fstat(reader)
            _check_source(before, order)
            if not order.overwrite and os.path.lexists(target):
                if order.resumed and _is_the_copy(reader, target, order, abandoned):
                    return before.st_size
                raise TransferFailedError(
                    "DESTINATION", errno.EEXIST, "Destination file exists and overwrite is not enabled"
                )
            _make_folders(target)
            try:
                self._copy(reader, before, part, order, abandoned)
                with _trouble("DESTINATION"):
                    part.rename(target)
            except (TransferFailedError, TransferAbandonedError) as error:
                error.leaves_part = not self.clean(order)
                raise
        with _trouble("DESTINATION"):
            sync_folder(target.parent)
        return before.st_size

    def clean(self, order: Order) -> bool:
        """Remove the temporary file of an interrupted copy; return whether none is left."""
        try:
            self._path(order.destination).with_name(order.part).unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _path(self, url: str) -> Path:
        """Return the path of a URL, with all links of its folder resolved, and check that it is in the roots."""
        path = local_path(url)
        if self._roots:
            real = path.resolve()
            if not any(real.is_relative_to(root) for root in self._roots):
                raise InvalidRequestError(f"{url!r} is outside the allowed folders of this service")
        return path

    def _copy(
        self, reader: int, before: os.stat_result, part: Path, order: Order, abandoned: Callable[[], bool]
    ) -> None:
        """Write and verify the temporary file."""
        algorithm = order.checksum.algorithm if order.checksum else "adler32"
        with _opened("DESTINATION", part, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as writer:
            read = _digest(reader, algorithm, abandoned, "SOURCE", writer)
            after = os.fstat(reader)
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise TransferFailedError("SOURCE", errno.EAGAIN, "Source file changed while it was copied")
            if order.checksum and order.verify.source and read != order.checksum:
                raise _mismatch("SOURCE", "Source and user-defined", read, order.checksum)
            with _trouble("DESTINATION"):
                os.fsync(writer)
            written = os.fstat(writer).st_size
            if written != before.st_size:
                raise TransferFailedError(
                    "DESTINATION", errno.EIO, f"Source and destination file size mismatch {before.st_size} <> {written}"
                )
            if order.verify.target:
                # Drop the pages from the cache, so that the bytes are read back from disk.
                os.posix_fadvise(writer, 0, 0, os.POSIX_FADV_DONTNEED)
                os.lseek(writer, 0, os.SEEK_SET)
                back = _digest(writer, algorithm, abandoned, "DESTINATION")
                if order.checksum and back != order.checksum:
                    raise _mismatch("DESTINATION", "Destination and user-defined", back, order.checksum)
                if back != read:
                    raise _mismatch("TRANSFER", "Source and destination", read, back)


def _check_source(found: os.stat_result, order: Order) -> None:
    """Raise if the source is not a file, or has not the expected size."""
    if stat.S_ISDIR(found.st_mode):
        raise TransferFailedError("SOURCE", errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise TransferFailedError("SOURCE", errno.EINVAL, "Source is not a regular file")
    if order.size_bytes is not None and found.st_size != order.size_bytes:
        raise TransferFailedError(
            "SOURCE",
            errno.EINVAL,
            f"Source and user-defined file size mismatch {found.st_size} <> {order.size_bytes}",
        )


def _is_the_copy(reader: int, target: Path, order: Order, abandoned: Callable[[], bool]) -> bool:
    """Return whether the file at the destination is this copy, completed just before the service stopped."""
    algorithm = order.checksum.algorithm if order.checksum else "adler32"
    with _opened("DESTINATION", target, os.O_RDONLY | os.O_NONBLOCK) as there:
        if os.fstat(there).st_size != os.fstat(reader).st_size:
            return False
        found = _digest(there, algorithm, abandoned, "DESTINATION")
    return found == (order.checksum or _digest(reader, algorithm, abandoned, "SOURCE"))


def _digest(
    reader: int, algorithm: str, abandoned: Callable[[], bool], scope: str, writer: int | None = None
) -> Checksum:
    """Read to the end, compute the digest, and write to `writer` if given."""
    digest = new_digest(algorithm)
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    while True:
        if abandoned():
            raise TransferAbandonedError
        with _trouble(scope):
            count = os.readv(reader, [buffer])
        if not count:
            return Checksum(algorithm, digest.hexdigest())
        piece = buffer[:count]
        digest.update(piece)
        if writer is not None:
            with _trouble("DESTINATION"):
                write_all(writer, piece)


def _mismatch(scope: str, ends: str, found: Checksum, expected: Checksum) -> TransferFailedError:
    """Return the failure for two different digests."""
    return TransferFailedError(
        "TRANSFER",
        errno.EIO,
        f"{scope} CHECKSUM MISMATCH {ends} {expected.algorithm.upper()} do not match "
        f"({found.value} != {expected.value})",
    )


def _make_folders(target: Path) -> None:
    """Create the missing folders above `target`, and flush them to disk."""
    missing = []
    folder = target.parent
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    with _trouble("DESTINATION", "MAKE_PARENT "):
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        for new in reversed(missing):
            with contextlib.suppress(FileExistsError):
                new.mkdir()
            sync_folder(new.parent)


@contextlib.contextmanager
def _opened(scope: str, path: Path, flags: int) -> Iterator[int]:
    """Open a file within a block."""
    with _trouble(scope):
        handle = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _trouble(scope: str, step: str = "") -> Iterator[None]:
    """Convert an error of the operating system to a failure in FTS3's format."""
    try:
        yield
    except TransferFailedError:
        raise
    except OSError as error:
        code = error.errno or errno.EIO
        raise TransferFailedError(scope, code, f"{f'{scope} {step}' if step else ''}{os.strerror(code)}") from error
