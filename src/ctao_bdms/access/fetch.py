"""Fetching one file: from the best copy that is sound, continued from copy to copy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.access.fetched import Fault, Fetched, Fetching, Progress, Trouble
from ctao_bdms.access.health import Health
from ctao_bdms.access.locate import ranked
from ctao_bdms.access.parts import TargetError, open_part
from ctao_bdms.errors import InvalidNameError, MissingExtraError, RetrievalError, UnreachableError
from ctao_bdms.integrity import ChecksumMismatchError, digest_file
from ctao_bdms.model import Rse
from ctao_bdms.storage.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.access.parts import Part
    from ctao_bdms.model import ArchivedFile, Lfn, Replica
    from ctao_bdms.storage.sources import Source

__all__ = ["Fetcher", "fault_of"]

_LOG = logging.getLogger(__name__)
#: A copy whose bytes are wrong may have been read wrongly: only what is wrong twice is bad.
_READINGS = 2


def fault_of(error: Exception, url: str, rse: Rse) -> Fault:
    """Say what it means for a copy at `rse` that reading it from `url` has failed with `error`."""
    if isinstance(error, ChecksumMismatchError):
        return Fault.BAD
    if isinstance(error, UnreachableError | InvalidNameError | MissingExtraError | PermissionError):
        return Fault.OUT_OF_REACH
    if isinstance(error, FileNotFoundError) and url.startswith("file:") and not Path(rse.prefix).is_dir():
        return Fault.OUT_OF_REACH  # the file system itself is not there
    return Fault.SUSPICIOUS


@attrs.frozen
class Fetcher:
    """Fetches files, from any thread.

    Attributes
    ----------
    sources
        What opens URLs.
    rses
        The storage elements.
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
        """Fetch `file`; what is at `target` already is looked at, and never overwritten.

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

    def _filled(self, file: ArchivedFile, target: Path, part: Part) -> Fetched:
        """Fetch what is missing of a file, from one copy after the other."""
        moved = self._moved(file.lfn)
        part.take_up(moved)
        if (part.size_bytes, part.adler32) == (file.size_bytes, file.adler32):
            return self._whole(file, target, part)
        troubles: list[Trouble] = []
        for replica in ranked(file, self.rses, self.near, self.health):
            troubles_here: list[Trouble] = []
            for url in replica.urls:
                try:
                    self._fill(file, url, part, moved)
                except (ChecksumMismatchError, MissingExtraError, InvalidNameError, OSError) as error:
                    fault = fault_of(error, url, self.rses[replica.rse])
                    troubles_here.append(Trouble(rse=replica.rse, pfn=url, fault=fault, reason=str(error)))
                    if fault is Fault.BAD:
                        break
                else:
                    self.health.worked(replica.rse)
                    return self._whole(file, target, part, replica.rse, troubles)
            self.health.failed(replica.rse)
            troubles.append(_worst(replica, troubles_here))
            _LOG.info("the copy of %s at %s", file.lfn, troubles[-1])
        return _failed(file, target, RetrievalError(str(file.lfn), map(str, troubles)), tuple(troubles))

    def _whole(
        self, file: ArchivedFile, target: Path, part: Part, rse: str = "", troubles: Iterable[Trouble] = ()
    ) -> Fetched:
        """Let the part take the name of the file."""
        part.become(target)
        return Fetched(
            lfn=file.lfn,
            path=target,
            status=Fetching.FETCHED,
            size_bytes=file.size_bytes,
            rse=rse,
            troubles=tuple(troubles),
        )

    def _fill(self, file: ArchivedFile, url: str, part: Part, moved: Callable[[int], None]) -> None:
        """Fetch what is missing from one place; what was there before is not blamed on it.

        Raises
        ------
        ChecksumMismatchError
            If its bytes are not those of the file.
        OSError
            If it cannot be read.
        """
        readings = 0
        while True:
            source = self.sources.open(url, part.size_bytes, file.size_bytes)
            try:
                _demand_size(url, file, source)
                readings += part.size_bytes == 0
                part.fill(source, moved)
            finally:
                source.close()
            if part.adler32 == file.adler32:
                return
            found = part.adler32
            moved(-part.size_bytes)
            part.begin_anew()
            if readings == _READINGS:
                raise ChecksumMismatchError(url, "adler32", file.adler32, found)

    def _present(self, file: ArchivedFile, target: Path) -> Fetched:
        """Say whether what is there already is the file."""
        size, digests = digest_file(target, on_bytes=self._moved(file.lfn))
        if (size, digests["adler32"]) == (file.size_bytes, file.adler32):
            return Fetched(lfn=file.lfn, path=target, status=Fetching.PRESENT, size_bytes=size)
        reason = f"{target} exists with other content ({size} bytes); move it away"
        return _failed(file, target, RetrievalError(str(file.lfn), [reason]))

    def _moved(self, lfn: Lfn) -> Callable[[int], None]:
        return lambda count: self.progress.moved(lfn, count)


def _demand_size(url: str, file: ArchivedFile, source: Source) -> None:
    if source.size_bytes != file.size_bytes:
        raise ChecksumMismatchError(url, "size", str(file.size_bytes), str(source.size_bytes))


def _worst(replica: Replica, troubles: list[Trouble]) -> Trouble:
    """Return what the doors of a copy say of it together: a door that is shut says less than one that is open."""
    order = list(Fault)
    reason = "; ".join(trouble.reason for trouble in troubles)
    fault = min((trouble.fault for trouble in troubles), key=order.index, default=Fault.OUT_OF_REACH)
    return Trouble(
        rse=replica.rse, pfn=replica.pfn, fault=fault, reason=reason or "it has no URL that can be opened here"
    )


def _failed(file: ArchivedFile, path: Path, error: Exception, troubles: tuple[Trouble, ...] = ()) -> Fetched:
    return Fetched(lfn=file.lfn, path=path, status=Fetching.FAILED, size_bytes=0, troubles=troubles, error=error)
