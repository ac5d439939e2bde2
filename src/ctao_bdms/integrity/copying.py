"""Copy files with verification, and compute digests of files."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ctao_bdms.durable import sync_file, sync_folder, write_all
from ctao_bdms.integrity.checksums import Digest, new_digests
from ctao_bdms.integrity.errors import ChecksumMismatchError
from ctao_bdms.integrity.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctao_bdms.integrity.source import SourceFile

__all__ = ["TEMPORARY_PATTERN", "FileDigests", "copy_verified", "digest_file"]

#: Pattern for `glob` of the names of incomplete copies. A copy that no process is writing may be removed.
TEMPORARY_PATTERN = ".bdms-*.part"


class FileDigests(NamedTuple):
    """Size and digests of a file.

    Attributes
    ----------
    digests
        Lower-case hexadecimal digests by algorithm.
    """

    size_bytes: int
    digests: Mapping[str, str]


def digest_file(
    path: str | os.PathLike[str],
    algorithms: tuple[str, ...] = ("adler32",),
    *,
    on_bytes: Callable[[int], object] | None = None,
) -> FileDigests:
    """Read a file once and compute its digests.

    Parameters
    ----------
    algorithms
        ``adler32`` and those of `hashlib`.
    on_bytes
        Called with the number of bytes after each piece.

    Returns
    -------
    FileDigests
        Size and digests; also a plain pair.

    Raises
    ------
    UnreadableError, SourceChangedError, NotAFileError
        If it cannot be read to the end, or changes in the meantime.
    OSError
        If it cannot be opened.
    """
    digests = new_digests(algorithms)
    with open_source(path) as source:
        fast, slow = _sinks(digests)
        size_bytes = source.read_through(fast, beside=slow, on_bytes=on_bytes)
        source.demand_unchanged()
    return FileDigests(size_bytes, _hexdigests(digests))


def copy_verified(
    source_path: str | os.PathLike[str],
    target_path: str | os.PathLike[str],
    *,
    size_bytes: int | None = None,
    adler32: str | None = None,
    sha256: str | None = None,
    on_bytes: Callable[[int], object] | None = None,
    fsync: bool = True,
) -> FileDigests:
    """Copy a file atomically, with verification of size and digests.

    The source is read once, and written to a temporary file in the target's folder. The temporary file is renamed to
    the target, replacing a file there, only if size and digests match. After any failure it is removed.

    Parameters
    ----------
    source_path, target_path
        Source and target; the target's folder must exist.
    size_bytes, adler32, sha256
        The expected size, and the expected digests, hexadecimal; None if unknown.
    on_bytes
        Called with the number of bytes after each piece.
    fsync
        Whether to flush file and name to disk.

    Returns
    -------
    FileDigests
        Size, ``adler32``, and ``sha256`` if it was expected.

    Raises
    ------
    ChecksumMismatchError
        If size or a digest does not match.
    UnreadableError, SourceChangedError, NotAFileError
        If the source cannot be read to the end, or changes in the meantime.
    OSError
        If the source cannot be opened, or the target cannot be written.
    """
    target = Path(target_path)
    wanted = {"adler32": adler32, **({"sha256": sha256} if sha256 is not None else {})}
    with open_source(source_path) as source:
        _compare(source.path, "size", size_bytes, source.size_bytes)
        temporary = target.parent / TEMPORARY_PATTERN.replace("*", uuid.uuid4().hex)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                copied = _copy(source, descriptor, wanted, on_bytes)
                if fsync:
                    sync_file(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    if fsync:
        sync_folder(target.parent)
    return copied


def _copy(
    source: SourceFile, descriptor: int, wanted: Mapping[str, str | None], on_bytes: Callable[[int], object] | None
) -> FileDigests:
    """Copy a source to a descriptor, and compare its digests with those `wanted`."""
    digests = new_digests(wanted)
    fast, slow = _sinks(digests)

    def write(piece: memoryview) -> None:
        fast(piece)
        write_all(descriptor, piece)

    size_bytes = source.read_through(write, beside=slow, on_bytes=on_bytes)
    source.demand_unchanged()
    found = _hexdigests(digests)
    for name, value in wanted.items():
        _compare(source.path, name, value.lower() if value is not None else None, found[name])
    return FileDigests(size_bytes, found)


def _hexdigests(digests: Mapping[str, Digest]) -> dict[str, str]:
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _sinks(
    digests: Mapping[str, Digest],
) -> tuple[Callable[[memoryview], None], Callable[[memoryview], None] | None]:
    """Return functions that update the fast digests and the slow ones, if any."""
    fast = [digest for name, digest in digests.items() if name == "adler32"]
    slow = [digest for name, digest in digests.items() if name != "adler32"]

    def feed(group: list[Digest]) -> Callable[[memoryview], None]:
        def sink(piece: memoryview) -> None:
            for digest in group:
                digest.update(piece)

        return sink

    return feed(fast), feed(slow) if slow else None


def _compare(path: str, what: str, expected: object, found: object) -> None:
    if expected is not None and expected != found:
        raise ChecksumMismatchError(path, what, str(expected), str(found))
