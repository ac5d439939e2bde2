"""Results of a retrieval: files, and faults of replicas."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.model import ArchivedFile, Lfn
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ByteProgress", "Fault", "Fetched", "FetchedFiles", "Fetching", "Progress", "Trouble"]


class Fetching(StrEnum):
    """Result of the fetch of a file."""

    #: It was copied and verified.
    FETCHED = "fetched"
    #: It was there already, with the right size and digest.
    PRESENT = "present"
    #: It could not be fetched.
    FAILED = "failed"


class Fault(StrEnum):
    """Fault of a replica."""

    #: It has other bytes than the file, or another number of them: looked at twice, and both times they were wrong.
    BAD = "bad"
    #: It could not be read, while its storage answered.
    SUSPICIOUS = "suspicious"
    #: Its storage did not answer, or cannot be read from here: that says nothing of the copy.
    OUT_OF_REACH = "out of reach"


@attrs.frozen(kw_only=True)
class Trouble:
    """A replica that could not be used, and why.

    Attributes
    ----------
    rse, pfn
        The storage element of the copy, and the URL where it lies.
    fault
        What that says of the copy.
    reason
        What happened, as a sentence.
    told
        What the archive was told of it, or who can tell it; empty if that makes no sense.
    """

    rse: str
    pfn: str
    fault: Fault
    reason: str
    told: str = ""

    def __str__(self) -> str:
        return f"{self.rse}: {self.reason}" + (f"; {self.told}" if self.told else "")


@attrs.frozen(kw_only=True)
class Fetched:
    """The result for one file.

    Attributes
    ----------
    lfn
        Its name.
    path
        Where it is now.
    status
        How it came there.
    size_bytes
        Its size in bytes.
    rse
        The storage element that it came from, the last one if there were several; empty if all of it was there already,
        or it failed.
    sound
        The storage element whose copy was read from its begin to its end and is the file; empty if none was: the bytes
        came from several copies, or some were there already.
    troubles
        The copies that could not be used.
    error
        Why it could not be had; None if it is there.
    """

    lfn: Lfn
    path: Path
    status: Fetching
    size_bytes: int
    rse: str = ""
    sound: str = ""
    troubles: tuple[Trouble, ...] = ()
    error: Exception | None = None


class FetchedFiles(Rows[Fetched]):
    """Results of a retrieval, one row a file."""

    columns: ClassVar = (
        ("file", "path"),
        ("status", "status"),
        ("bytes", "size_bytes"),
        ("from", "rse"),
        ("why", "error"),
    )

    @property
    def failed(self) -> tuple[Fetched, ...]:
        """The files that could not be fetched."""
        return tuple(fetched for fetched in self if fetched.status is Fetching.FAILED)


class Progress:
    """Progress of a retrieval, called from several threads; this one ignores it."""

    def begin(self, files: int, size_bytes: int) -> None:
        """Set the number of files, and of all their bytes."""

    def start(self, file: ArchivedFile) -> None:
        """Note that the fetch, or the check, of a file begins."""

    def moved(self, lfn: Lfn, count: int) -> None:
        """Note more bytes of a file; a negative number for bytes that were thrown away."""

    def end(self, fetched: Fetched) -> None:
        """Note that a file is done."""


class ByteProgress(Progress):
    """Calls a function with the number of bytes after each piece; negative for bytes that were thrown away."""

    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self._on_bytes = on_bytes

    def moved(self, lfn: Lfn, count: int) -> None:
        """Pass the number of bytes on."""
        self._on_bytes(count)
