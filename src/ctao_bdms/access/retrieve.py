"""Fetching files: verified while they are written, from the best copy that is sound."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.access.locate import known_files, ranked
from ctao_bdms.errors import InvalidNameError, RetrievalError, UsageError
from ctao_bdms.integrity import ChecksumMismatchError, copy_verified, digest_file
from ctao_bdms.model import ArchivedFile, Lfn
from ctao_bdms.naming import path_of_lfn, path_of_pfn
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctao_bdms.catalogue import Lookup
    from ctao_bdms.model import Rse

__all__ = ["Fetched", "FetchedFiles", "Fetching", "retrieve"]

_LOG = logging.getLogger(__name__)


class Fetching(StrEnum):
    """How a file came to be where it is wanted."""

    #: It was copied and verified.
    FETCHED = "fetched"
    #: It was there already, with the right size and digest.
    PRESENT = "present"
    #: It could not be had.
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Fetched:
    """What became of one file.

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
        The storage element that it came from; empty if it was there already or failed.
    error
        Why it could not be had; None if it is there.
    """

    lfn: Lfn
    path: Path
    status: Fetching
    size_bytes: int
    rse: str = ""
    error: Exception | None = None


class FetchedFiles(Rows[Fetched]):
    """What became of the files that were asked for, one row each."""

    columns: ClassVar = (
        ("file", "path"),
        ("status", "status"),
        ("bytes", "size_bytes"),
        ("from", "rse"),
        ("why", "error"),
    )

    @property
    def failed(self) -> tuple[Fetched, ...]:
        """The files that could not be had."""
        return tuple(fetched for fetched in self if fetched.status is Fetching.FAILED)


def retrieve(
    catalogue: Lookup,
    rses: Mapping[str, Rse],
    lfns: Iterable[Lfn],
    folder: Path,
    *,
    tree: bool = False,
    near: str = "",
    jobs: int = 4,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> FetchedFiles:
    """Fetch files into a folder.

    Each is read once, from the best copy; size and Adler-32 are verified while it is written under a temporary name,
    and it appears under its own only when it is whole. If a copy is gone or does not agree, the next one is tried.

    Parameters
    ----------
    catalogue, rses
        The archive and its storage elements.
    lfns
        The files.
    folder
        Where they go; it is made if it does not exist.
    tree
        Whether to keep the directories of the names below `folder`; otherwise all files go into it directly.
    near
        The site or centre whose copies come first.
    jobs
        How many files are fetched at once.
    on_bytes
        Called with the number of bytes after each piece that was written.

    Raises
    ------
    NotFoundError
        If the archive does not know one of the names; nothing is fetched then.
    UsageError
        If two files would get the same name in `folder`.
    """
    wanted = list(dict.fromkeys(lfns))
    places = {lfn: Path(path_of_lfn(lfn, folder)) if tree else folder / lfn.name for lfn in wanted}
    if len(set(places.values())) < len(places):
        raise UsageError("two of the files have the same name; keep their directories (--tree, tree=True)")
    files = known_files(catalogue, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return FetchedFiles(pool.map(lambda file: _fetch(file, rses, places[file.lfn], near, on_bytes), files))


def _fetch(
    file: ArchivedFile, rses: Mapping[str, Rse], path: Path, near: str, on_bytes: Callable[[int], None]
) -> Fetched:
    """Fetch one file, from the first copy that is sound."""
    if path.exists():
        return _present(file, path, on_bytes)
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for replica in ranked(file, rses, near):
        try:
            copy_verified(
                path_of_pfn(replica.pfn), path, size_bytes=file.size_bytes, adler32=file.adler32, on_bytes=on_bytes
            )
        except (ChecksumMismatchError, InvalidNameError, OSError) as error:
            _LOG.warning("copy of %s at %s cannot be used: %s", file.lfn, replica.rse, error)
            reasons.append(f"{replica.rse}: {error}")
        else:
            return Fetched(
                lfn=file.lfn, path=path, status=Fetching.FETCHED, size_bytes=file.size_bytes, rse=replica.rse
            )
    return _failed(file, path, RetrievalError(str(file.lfn), reasons))


def _present(file: ArchivedFile, path: Path, on_bytes: Callable[[int], None]) -> Fetched:
    """Say whether what is there already is the file; it is never overwritten."""
    try:
        size, digests = digest_file(path, on_bytes=on_bytes)
    except OSError as error:
        return _failed(file, path, error)
    if (size, digests["adler32"]) == (file.size_bytes, file.adler32):
        return Fetched(lfn=file.lfn, path=path, status=Fetching.PRESENT, size_bytes=size)
    reason = f"{path} exists with other content ({size} bytes); move it away"
    return _failed(file, path, RetrievalError(str(file.lfn), [reason]))


def _failed(file: ArchivedFile, path: Path, error: Exception) -> Fetched:
    return Fetched(lfn=file.lfn, path=path, status=Fetching.FAILED, size_bytes=0, error=error)
