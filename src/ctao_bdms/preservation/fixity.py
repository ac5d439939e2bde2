"""Proof that a copy is what it should be: its bytes are read back and compared."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import ArchivedFile, Lfn
from ctao_bdms.preservation.verifiers import VERIFIERS, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from ctao_bdms.model import Replica
    from ctao_bdms.preservation.verifiers import ReadDigests, Verifier

__all__ = ["ReadBack", "read_back"]


@attrs.frozen(kw_only=True)
class ReadBack:
    """What reading back one copy has shown.

    Attributes
    ----------
    lfn, rse
        The file, and the storage element of the copy.
    when
        When it was read (UTC).
    how
        By which verifier; empty if it could not be read.
    size_bytes, adler32, sha256
        What was read; 0 and empty if it could not be.
    problem
        What does not agree; empty if the copy is what the catalogue says.
    is_rotten
        Whether all of it was read, twice, and it has other bytes than the file.
    """

    lfn: Lfn
    rse: str
    when: dt.datetime
    how: str = ""
    size_bytes: int = 0
    adler32: str = ""
    sha256: str = ""
    problem: str = ""
    is_rotten: bool = False


#: A copy whose bytes are wrong may have been read wrongly: only what is wrong twice is rotten.
_READINGS = 2


def read_back(
    files: Iterable[ArchivedFile],
    *,
    now: Callable[[], dt.datetime],
    on_bytes: Callable[[int], None] = lambda _: None,
    at: Container[str] | None = None,
    sha256: Mapping[Lfn, str] | None = None,
    verifiers: Mapping[str, Verifier] = VERIFIERS,
) -> Iterator[ReadBack]:
    """Read every copy of `files` and compare it with what the catalogue says of the file.

    A copy is read through the first of its doors that works here.

    Parameters
    ----------
    files
        The files, with their copies.
    now
        The clock.
    on_bytes
        Called with the number of bytes after each piece that was read.
    at
        Only the copies at these storage elements.
    sha256
        The SHA-256 of files of which it is known; it is compared as well.
    verifiers
        What reads copies, by the scheme of their URL.
    """
    for file in files:
        known = (sha256 or {}).get(file.lfn, "")
        for replica in file.replicas:
            if at is None or replica.rse in at:
                yield _read_replica(file, replica, known, now(), on_bytes, verifiers)


def _read_replica(
    file: ArchivedFile,
    replica: Replica,
    sha256: str,
    when: dt.datetime,
    on_bytes: Callable[[int], None],
    verifiers: Mapping[str, Verifier],
) -> ReadBack:
    """Read one copy."""
    for reading in range(1, _READINGS + 1):
        try:
            how, read = ask(replica, lambda verifier, url: verifier.read(url, on_bytes), verifiers)
        except OSError as error:
            return ReadBack(lfn=file.lfn, rse=replica.rse, when=when, problem=str(error))
        problem = _problem(file, sha256, read)
        found = ReadBack(
            lfn=file.lfn,
            rse=replica.rse,
            when=when,
            how=how,
            size_bytes=read.size_bytes,
            adler32=read.adler32,
            sha256=read.sha256,
            problem=problem,
            is_rotten=bool(problem) and reading == _READINGS,
        )
        if not problem:
            break
    return found


def _problem(file: ArchivedFile, sha256: str, read: ReadDigests) -> str:
    """Say what does not agree."""
    if (read.size_bytes, read.adler32) != (file.size_bytes, file.adler32):
        return (
            f"{read.size_bytes} bytes, adler32 {read.adler32}; expected {file.size_bytes} bytes, adler32 {file.adler32}"
        )
    return f"sha256 {read.sha256}; expected {sha256}" if sha256 and read.sha256 != sha256 else ""
