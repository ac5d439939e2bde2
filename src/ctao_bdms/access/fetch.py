"""Fetch one file from its best sound replica, continued from replica to replica."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.access.fetched import Fetched, Fetching, Progress, Trouble
from ctao_bdms.access.health import Health
from ctao_bdms.access.partial_download import TargetError, open_part
from ctao_bdms.access.trying import first_usable
from ctao_bdms.errors import RetrievalError
from ctao_bdms.integrity import ChecksumMismatchError, digest_file
from ctao_bdms.model import Rse
from ctao_bdms.storage.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctao_bdms.access.partial_download import PartialDownload
    from ctao_bdms.model import ArchivedFile, Lfn
    from ctao_bdms.storage.sources import Source

__all__ = ["Fetcher"]

#: A mismatch may come from the read, not from the disk: only a mismatch in two readings means a bad replica.
_READINGS = 2


@attrs.frozen
class Fetcher:
    """Fetches files, from any thread.

    Attributes
    ----------
    sources
        What opens URLs.
    near
        The site or centre whose copies come first.
    health
        Which storage elements have failed of late.
    progress
        Is told how far it is.
    stop
        Ends the work when it is set; what was fetched until then can be continued.
    """

    sources: Sources
    rses: Mapping[str, Rse]
    near: str
    health: Health
    progress: Progress
    stop: threading.Event

    def fetch(self, file: ArchivedFile, target: Path) -> Fetched:
        """Fetch `file`; verify what is at `target` already, and never overwrite it.

        Raises
        ------
        StoppedError
            If `stop` was set.
        """
        self.progress.start(file)
        try:
            if target.exists():
                return self._present(file, target)
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_part(target, file, self.stop) as part:
                return self._present(file, target) if part is None else self._filled(file, target, part)
        except TargetError as error:
            return _failed(file, target, error.__cause__ if isinstance(error.__cause__, OSError) else error)
        except OSError as error:
            return _failed(file, target, error)

    def _filled(self, file: ArchivedFile, target: Path, part: PartialDownload) -> Fetched:
        """Fetch the missing bytes of a file, from one replica after the other."""
        moved = self._moved(file.lfn)
        part.take_up(moved)
        if (part.size_bytes, part.adler32) == (file.size_bytes, file.adler32):
            return self._whole(file, target, part)
        troubles: list[Trouble] = []
        found = first_usable(
            file, self.rses, self.near, self.health, lambda url: self._fill(file, url, part, moved), troubles
        )
        if found is None:
            return _failed(file, target, RetrievalError(str(file.lfn), map(str, troubles)), tuple(troubles))
        rse, is_all_from_there = found
        fetched = self._whole(file, target, part)
        return attrs.evolve(fetched, rse=rse, sound=rse if is_all_from_there else "", troubles=tuple(troubles))

    def _whole(self, file: ArchivedFile, target: Path, part: PartialDownload) -> Fetched:
        """Rename the partial download to the name of the file."""
        part.become(target)
        return Fetched(lfn=file.lfn, path=target, status=Fetching.FETCHED, size_bytes=file.size_bytes)

    def _fill(self, file: ArchivedFile, url: str, part: PartialDownload, moved: Callable[[int], None]) -> bool:
        """Fetch the missing bytes from one URL; return whether all bytes of the file came from it.

        Raises
        ------
        ChecksumMismatchError
            If its bytes are not those of the file.
        OSError
            If it cannot be read.
        """
        readings = 0
        while True:
            is_all = part.size_bytes == 0
            with closing(self._opened(file, url, part.size_bytes)) as source:
                readings += is_all
                part.fill(source, moved)
            if part.adler32 == file.adler32:
                return is_all
            found = part.adler32
            moved(-part.size_bytes)
            part.begin_anew()
            if readings == _READINGS:
                raise ChecksumMismatchError(url, "adler32", file.adler32, found)

    def _opened(self, file: ArchivedFile, url: str, position: int) -> Source:
        """Open a URL at a byte; a wrong size is checked twice.

        Raises
        ------
        ChecksumMismatchError
            If it has another size.
        OSError
            If it cannot be opened.
        """
        for _ in range(_READINGS):
            source = self.sources.open(url, position, file.size_bytes)
            if source.size_bytes == file.size_bytes:
                return source
            source.close()
        raise ChecksumMismatchError(url, "size", str(file.size_bytes), str(source.size_bytes))

    def _present(self, file: ArchivedFile, target: Path) -> Fetched:
        """Verify the file that exists at the target; it failed if its content differs."""
        size, digests = digest_file(target, on_bytes=self._moved(file.lfn))
        if (size, digests["adler32"]) == (file.size_bytes, file.adler32):
            return Fetched(lfn=file.lfn, path=target, status=Fetching.PRESENT, size_bytes=size)
        reason = f"{target} exists with other content ({size} bytes); move it away"
        return _failed(file, target, RetrievalError(str(file.lfn), [reason]))

    def _moved(self, lfn: Lfn) -> Callable[[int], None]:
        return lambda count: self.progress.moved(lfn, count)


def _failed(file: ArchivedFile, path: Path, error: Exception, troubles: tuple[Trouble, ...] = ()) -> Fetched:
    return Fetched(lfn=file.lfn, path=path, status=Fetching.FAILED, size_bytes=0, troubles=troubles, error=error)
