"""Proof that a copy is what it should be: its bytes are read back and compared."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import BdmsError
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import ArchivedFile, Lfn
from ctao_bdms.naming import path_of_pfn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ctao_bdms.model import Replica

__all__ = ["Evidence", "read_back"]


@attrs.frozen(kw_only=True)
class Evidence:
    """What reading back one copy has shown.

    Attributes
    ----------
    lfn, rse
        The file, and the storage element of the copy.
    when
        When it was read (UTC).
    size_bytes, adler32, sha256
        What was read; 0 and empty if it could not be.
    problem
        What does not agree; empty if the copy is what the catalogue says.
    """

    lfn: Lfn
    rse: str
    when: dt.datetime
    size_bytes: int = 0
    adler32: str = ""
    sha256: str = ""
    problem: str = ""


def read_back(
    files: Iterable[ArchivedFile],
    *,
    now: Callable[[], dt.datetime],
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Iterator[Evidence]:
    """Read every copy of `files` and compare it with what the catalogue says of the file.

    Parameters
    ----------
    files
        The files, with their copies.
    now
        The clock.
    on_bytes
        Called with the number of bytes after each piece that was read.
    """
    for file in files:
        for replica in file.replicas:
            yield _evidence(file, replica, now(), on_bytes)


def _evidence(file: ArchivedFile, replica: Replica, when: dt.datetime, on_bytes: Callable[[int], None]) -> Evidence:
    """Read one copy."""
    try:
        size, digests = digest_file(path_of_pfn(replica.pfn), ("adler32", "sha256"), on_bytes=on_bytes)
    except (BdmsError, OSError) as error:
        return Evidence(lfn=file.lfn, rse=replica.rse, when=when, problem=str(error))
    found, expected = (size, digests["adler32"]), (file.size_bytes, file.adler32)
    problem = (
        "" if found == expected else f"{found[0]} bytes, adler32 {found[1]}; expected {expected[0]}, {expected[1]}"
    )
    return Evidence(
        lfn=file.lfn,
        rse=replica.rse,
        when=when,
        size_bytes=size,
        adler32=digests["adler32"],
        sha256=digests["sha256"],
        problem=problem,
    )
