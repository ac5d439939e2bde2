"""Open a file of the archive for reading, without a copy of it."""

from __future__ import annotations

import errno
import io
import os
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from ctao_bdms.access.declare import declare
from ctao_bdms.access.health import Health
from ctao_bdms.access.locate import demand_place, known_files
from ctao_bdms.access.trying import first_usable
from ctao_bdms.errors import RetrievalError, UsageError
from ctao_bdms.integrity import ChecksumMismatchError, SourceChangedError
from ctao_bdms.integrity.checksums import new_digest
from ctao_bdms.naming import path_of_pfn
from ctao_bdms.storage.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from ctao_bdms.access.declare import DeclareCatalogue
    from ctao_bdms.access.fetched import Trouble
    from ctao_bdms.model import ArchivedFile, Lfn, Rse

__all__ = ["open_file"]

_BUFFER_BYTES = 1 << 20


def open_file(
    catalogue: DeclareCatalogue,
    rses: Mapping[str, Rse],
    lfn: Lfn,
    *,
    near: str = "",
    verify: bool = False,
    health: Health | None = None,
) -> io.BufferedReader:
    """Open the best replica of a file for reading.

    Parameters
    ----------
    near
        The site, centre or storage element whose copies come first.
    verify
        Whether to read it through once first, and compare its digest; a copy that is not sound is passed over. Without,
        only the size is compared, and no copy is declared bad.
    health
        Which storage elements have failed of late; it is kept up to date.

    Returns
    -------
    io.BufferedReader
        A binary file that can be read and sought; to be closed. A source that becomes shorter while it is open does not
        look like the end of the file: to read there raises `OSError`.

    Raises
    ------
    NotFoundError
        If the archive does not know the name.
    UsageError
        If the name is not one file's, or `near` is no place.
    RetrievalError
        If no copy can be opened.
    """
    demand_place(rses, near)
    files = known_files(catalogue, [lfn])
    if [file.lfn for file in files] != [lfn]:
        raise UsageError(f"{lfn} stands for {len(files)} files; only one can be opened")
    (file,), health = files, health or Health()
    troubles: list[Trouble] = []
    found = first_usable(file, rses, near, health, lambda url: _open(url, file, verify=verify), troubles)
    told = declare(catalogue, rses, lfn, troubles, found[0] if found and verify else "")
    if found is None:
        raise RetrievalError(str(lfn), map(str, told))
    return found[1]


def _open(url: str, file: ArchivedFile, *, verify: bool) -> io.BufferedReader:
    """Open one replica; check a mismatch twice.

    Raises
    ------
    ChecksumMismatchError
        If it is not the file.
    OSError
        If it cannot be opened.
    """
    try:
        return _opened(url, file, verify=verify)
    except ChecksumMismatchError:
        return _opened(url, file, verify=verify)


def _opened(url: str, file: ArchivedFile, *, verify: bool) -> io.BufferedReader:
    """Open one replica, checked once."""
    raw: _Local | _Remote
    raw = _Local(path_of_pfn(url), file.size_bytes) if url.startswith("file:") else _Remote(url, file.size_bytes)
    try:
        size = raw.seek(0, io.SEEK_END)
        if size != file.size_bytes:
            raise ChecksumMismatchError(url, "size", str(file.size_bytes), str(size))
        if verify and (found := _adler32(raw)) != file.adler32:
            raise ChecksumMismatchError(url, "adler32", file.adler32, found)
        raw.seek(0)
    except BaseException:
        raw.close()
        raise
    return io.BufferedReader(raw, _BUFFER_BYTES)


def _adler32(raw: io.RawIOBase) -> str:
    """Read the whole file."""
    digest, buffer = new_digest("adler32"), memoryview(bytearray(_BUFFER_BYTES))
    raw.seek(0)
    while count := raw.readinto(buffer):
        digest.update(buffer[:count])
    return digest.hexdigest()


class _Local(io.FileIO):
    """A local file whose size must not change.

    The place in it is this object's own. That of the operating system is shared with the children of a fork: each would
    read what the others have left.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        super().__init__(path)
        self._path, self._size_bytes, self._position = path, size_bytes, 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: os.fstat(self.fileno()).st_size}[whence]
        if begin + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = begin + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        room = memoryview(buffer).cast("B")
        count = os.preadv(self.fileno(), [room], self._position)
        if not count and room and self._position < self._size_bytes:
            raise SourceChangedError(self._path)
        self._position += count
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        data = bytearray(size)
        return bytes(data[: self.readinto(data)])

    def readall(self) -> bytes:
        pieces = []
        while piece := self.read(_BUFFER_BYTES):
            pieces.append(piece)
        return b"".join(pieces)


class _Remote(io.RawIOBase):
    """A remote source, as a file object."""

    def __init__(self, url: str, size_bytes: int) -> None:
        self._open = ExitStack()  # first: what could not be opened is closed all the same
        with ExitStack() as stack:
            self._source = stack.enter_context(closing(stack.enter_context(Sources()).open(url, 0, size_bytes)))
            self._open = stack.pop_all()
        self._url, self._size_bytes = url, size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size_bytes}[whence]
        if begin + offset < 0:
            raise ValueError(f"there is nothing {-begin - offset} bytes before the begin")
        self._position = begin + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        room = memoryview(buffer).cast("B")
        count = self._source.read_at(room, self._position)
        if not count and room and self._position < self._size_bytes:
            raise SourceChangedError(self._url)
        self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            self._open.close()
        super().close()
