"""The interface of file formats."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from ctao_bdms.model import Defect, Flag, HduFacts, Keyword

if TYPE_CHECKING:
    from ctao_bdms.integrity.source import SourceFile

__all__ = ["FileFormat", "Findings", "Previewing", "Reading"]


def _read_only(mapping: Mapping[str, Keyword]) -> Mapping[str, Keyword]:
    return MappingProxyType(dict(mapping))


@attrs.frozen(kw_only=True)
class Findings:
    """The result of reading one file.

    Attributes
    ----------
    kind
        The kind of product, by its structure, e.g. ``DL0v1 Telescope``; empty if it has no name.
    keywords
        The metadata in the content, by the keywords of `ctao_bdms.model.METADATA`.
    checked
        Whether every part has its own checksum and all agree.
    flags
        Remarks that are no defects.
    format
        The name of the format, if the content differs from the suffix; else empty.
    hdus
        The HDUs of a FITS file.
    trailing_bytes
        The number of bytes after the last HDU of a FITS file.
    """

    kind: str = ""
    keywords: Mapping[str, Keyword] = attrs.field(factory=dict, converter=_read_only)
    checked: bool = False
    flags: tuple[Flag, ...] = ()
    defects: tuple[Defect, ...] = ()
    format: str = ""
    hdus: tuple[HduFacts, ...] = ()
    trailing_bytes: int = 0


class Reading(Protocol):
    """Reads one file in a pass. No content makes it raise, and its memory is bounded."""

    def feed(self, piece: memoryview) -> None:
        """Process the next bytes: every byte comes once, in order. The buffer is reused afterwards.

        A format whose library must seek does nothing here.
        """

    def finish(self, path: str | None) -> Findings:
        """Return the findings after the last byte; called once, and only for files that are not empty.

        Parameters
        ----------
        path
            The path of the file, for a library that must seek; None if there are only the bytes. The caller checks
            afterwards that the file has not changed.
        """


@runtime_checkable
class Previewing(Protocol):
    """A reading that can find proven defects before the file is read."""

    def preview(self, source: SourceFile) -> Findings:
        """Return proven defects; without any, the file must be read."""


class FileFormat(Protocol):
    """A file format: one instance each, without state."""

    @property
    def name(self) -> str:
        """The name in ``--json``: ``fits``, ``hdf5``, ..."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of its files, with the dot; the longest match counts."""

    @property
    def promise(self) -> str:
        """What the format guarantees, and what is checked: a sentence or two for ``bdms scan --explain``."""

    def begin(self, name: str) -> Reading:
        """Begin to read a file.

        Parameters
        ----------
        name
            The name or the path of the file.

        Raises
        ------
        ctao_bdms.errors.MissingExtraError
            If the library that reads it is not installed.
        """
