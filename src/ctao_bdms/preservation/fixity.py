"""Read replicas back and compare them with the catalogue."""

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
    """One replica, read back and compared.

    Attributes
    ----------
    lfn, rse
        The file, and the storage element of the replica.
    when
        When the replica was read (UTC).
    how
        The verifier that read it; empty if it could not be read.
    size_bytes, adler32, sha256
        Size and digests of the bytes; 0 and empty if they could not be read.
    problem
        The mismatch, or the error; empty if the replica is sound.
    is_rotten
        Whether the replica was read whole twice, with a mismatch each time.
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


#: A mismatch may come from the read, not from the disk: only a mismatch in two readings means a bad replica.
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
    """Read every replica of `files` and compare it with the catalogue.

    A replica is read through the first of its URLs that works here.

    Parameters
    ----------
    files
        The files, with their replicas.
    on_bytes
        Called with the number of bytes after each piece that was read.
    at
        Only replicas at these storage elements.
    sha256
        Known SHA-256 digests, which are compared as well.
    verifiers
        Verifiers by the scheme of URLs.
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
    """Return the mismatch; empty if there is none."""
    if (read.size_bytes, read.adler32) != (file.size_bytes, file.adler32):
        return (
            f"{read.size_bytes} bytes, adler32 {read.adler32}; expected {file.size_bytes} bytes, adler32 {file.adler32}"
        )
    return f"sha256 {read.sha256}; expected {sha256}" if sha256 and read.sha256 != sha256 else ""
