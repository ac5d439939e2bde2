"""What a reader of a format is asked, and what it answers."""

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
    """What a format says of the content of one file.

    Attributes
    ----------
    kind
        What kind of product its structure is, e.g. ``DL0v1 Telescope``; empty if it has no name.
    keywords
        The metadata that stand in the content, by the keywords that `ctao_bdms.model.METADATA` names.
    checked
        Whether every part carries a checksum of its own and all agree.
    flags
        What a reader should know besides the defects.
    defects
        Everything that is wrong with the content.
    format
        The word for the format, where the content is another than the name says; else empty.
    hdus
        The parts of a FITS file.
    trailing_bytes
        How many bytes follow the last part of a FITS file.
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
    """One file on its way through. Content never makes it raise, and its memory is bounded."""

    def feed(self, piece: memoryview) -> None:
        """Take the next bytes: every byte comes once, in order. The buffer is used again afterwards.

        A format whose library must seek does nothing here.
        """

    def finish(self, path: str | None) -> Findings:
        """Say what the file is, now that all bytes have come; called once, and only if there was a byte.

        Parameters
        ----------
        path
            Where the file lies, for a library that must seek; None if there are only the bytes. Whoever calls checks
            afterwards that the file is still the same.
        """


@runtime_checkable
class Previewing(Protocol):
    """A reading that can say what is certainly wrong with a file before it is read."""

    def preview(self, source: SourceFile) -> Findings:
        """Return what is certainly wrong; without defects, the file must be read."""


class FileFormat(Protocol):
    """A format of files: one object each, without a state of its own."""

    @property
    def name(self) -> str:
        """The word for it in ``--json``: ``fits``, ``hdf5``, ..."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The ends of names that promise it, with the dot; of several that fit, the longest counts."""

    @property
    def promise(self) -> str:
        """What it promises of a content, and what of it is checked: a sentence or two for ``bdms scan --explain``."""

    def begin(self, name: str) -> Reading:
        """Begin with one file.

        Parameters
        ----------
        name
            The name or the path of the file.

        Raises
        ------
        ctao_bdms.errors.MissingExtraError
            If the library that reads it is not installed.
        """
