"""Scan the content of a file in one pass, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.integrity.checksums import new_digests
from ctao_bdms.integrity.formats.port import Findings, Previewing
from ctao_bdms.integrity.formats.table import format_of
from ctao_bdms.model import Defect, DefectKind, FileFacts, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctao_bdms.integrity.source import SourceFile

__all__ = ["Scanner"]


class Scanner:
    """Check the content of a file in one pass, from pieces of any size.

    Parameters
    ----------
    name
        The file name, whose suffix determines the format. Without a name, any content is valid.
    algorithms
        The digests to compute: ``adler32`` and those of `hashlib`.

    Raises
    ------
    ctao_bdms.errors.UsageError
        If there is no such digest.
    ctao_bdms.errors.MissingExtraError
        If the library that reads the format is not installed.

    Examples
    --------
    >>> scanner = Scanner("notes.txt")
    >>> scanner.feed(b"Wiki")
    >>> scanner.feed(b"pedia")
    >>> facts = scanner.finish()
    >>> facts.adler32, facts.size_bytes, facts.verdict.value
    ('11e60398', 9, 'unchecked')
    """

    def __init__(self, name: str = "", *, algorithms: tuple[str, ...] = ("adler32", "sha256")) -> None:
        self._name = name
        self._format = format_of(name)
        self._reading = self._format.begin(name)
        self._digests = new_digests(algorithms)
        self._size_bytes = 0

    def feed(self, buffer: bytes | bytearray | memoryview) -> None:
        """Scan the next bytes. The buffer may be reused as soon as this returns."""
        data = memoryview(buffer).cast("B")
        for digest in self._digests.values():
            digest.update(data)
        self._reading.feed(data)
        self._size_bytes += len(data)

    def preview(self, source: SourceFile) -> FileFacts | None:
        """Return facts without digests if a file has certain defects before it is read.

        Parameters
        ----------
        source
            The open file, before the first call of `feed`.
        """
        found = self._reading.preview(source) if isinstance(self._reading, Previewing) else Findings()
        if not found.defects:
            return None
        return FileFacts(
            path=self._name,
            size_bytes=source.size_bytes,
            modified_ns=source.status.st_mtime_ns,
            digests={},
            format=found.format or self._format.name,
            kind=found.kind,
            flags=(*found.flags, Flag.UNREAD),
            keywords=found.keywords,
            trailing_bytes=found.trailing_bytes,
            defects=found.defects,
        )

    def finish(
        self, path: str | None = None, *, modified_ns: int = 0, digests: Mapping[str, str] | None = None
    ) -> FileFacts:
        """Return the facts of the whole content.

        Parameters
        ----------
        path
            The path of the file, for formats whose library must seek, such as HDF5; without it their structure is
            not checked.
        modified_ns
            The mtime of the file, nanoseconds since 1970.
        digests
            Further digests of the same content, computed by the caller.

        Returns
        -------
        FileFacts
            With the name as path.
        """
        if self._size_bytes:
            found = self._reading.finish(path)
        else:
            found = Findings(defects=(Defect(DefectKind.EMPTY, "the file has no bytes"),))
        return FileFacts(
            path=self._name,
            size_bytes=self._size_bytes,
            modified_ns=modified_ns,
            digests={name: digest.hexdigest() for name, digest in self._digests.items()} | dict(digests or {}),
            format=found.format or self._format.name,
            kind=found.kind,
            checked=found.checked,
            flags=found.flags,
            keywords=found.keywords,
            hdus=found.hdus,
            trailing_bytes=found.trailing_bytes,
            defects=found.defects,
        )
