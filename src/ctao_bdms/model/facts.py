"""The facts that one pass over a file finds."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import attrs

from ctao_bdms.model.defects import Defect, DefectKind

__all__ = ["FileFacts", "Flag", "HduFacts", "Keyword", "SumStatus", "Verdict"]

Keyword = str | int | float | bool


class SumStatus(StrEnum):
    """The result of a checksum card: match, mismatch or absent. Absent is not valid."""

    OK = "ok"
    BAD = "bad"
    ABSENT = "absent"


class Verdict(StrEnum):
    """The conclusion about a file as a whole."""

    #: Every part carries a checksum of its own, and all agree.
    GOOD = "good"
    #: Nothing is wrong, but not every part carries a checksum.
    UNCHECKED = "unchecked"
    #: There is at least one defect.
    BAD = "bad"
    #: It could not be read to the end: nothing is known.
    ERROR = "error"


class Flag(StrEnum):
    """Remarks on a file that are not defects.

    The value is the stable word used in ``--json``, in reason documents and in the journal.
    """

    #: No reader knows the format: there are digests, and nothing else is known of the content.
    OPAQUE = "opaque"
    #: Bytes follow the last part.
    TRAILING_BYTES = "trailing-bytes"
    #: A FITS file ends exactly between two parts, and the product has more of them.
    CUT_AT_HDU_BORDER = "cut-at-hdu-border"
    #: The content was unpacked with gzip, whose own sum of everything agrees if the file is good; offsets are those of
    #: the unpacked content.
    GZIPPED = "gzipped"
    #: Some of its content could not be examined by the readers that are installed; nothing is known of it.
    UNEXAMINED = "unexamined"
    #: It is large, and was certainly bad before all of it was read: the rest was not read, and there are no digests.
    UNREAD = "unread"


#: Defects for which nothing is known of the content as a whole.
_UNKNOWN = {
    DefectKind.WORKER,
    DefectKind.MACHINE,
    DefectKind.UNREADABLE,
    DefectKind.MISSING,
    DefectKind.NOT_A_FILE,
    DefectKind.CHANGING,
    DefectKind.UNEXAMINED,
}


def _read_only(mapping: Mapping[str, Keyword]) -> Mapping[str, Keyword]:
    return MappingProxyType(dict(mapping))


def _read_only_text(mapping: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(mapping))


@attrs.frozen(getstate_setstate=False)
class _Picklable:
    """Make values with read-only mappings picklable: a mapping proxy is not."""

    def __getstate__(self) -> dict[str, object]:
        fields = {name: getattr(self, name) for name in attrs.fields_dict(type(self))}
        return {name: dict(value) if isinstance(value, MappingProxyType) else value for name, value in fields.items()}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if isinstance(value, dict) else value)


@attrs.frozen(kw_only=True, getstate_setstate=False)
class HduFacts(_Picklable):
    """One header-data unit of a FITS file.

    Attributes
    ----------
    index
        Its place, the primary being 0.
    name
        ``EXTNAME``, or ``PRIMARY``.
    offset
        Where its header begins, in bytes.
    header_bytes, data_bytes
        Sizes of the header and of the data with heap and padding, in bytes.
    datasum, checksum
        What the two cards say of the bytes.
    data_sum32
        The FITS sum of the data that were read: what a right DATASUM card says.
    keywords
        The header's values by keyword (the first card wins), without comments and history.
    """

    index: int
    name: str
    offset: int
    header_bytes: int
    data_bytes: int
    datasum: SumStatus
    checksum: SumStatus
    data_sum32: int = 0
    keywords: Mapping[str, Keyword] = attrs.field(converter=_read_only, repr=False)

    def to_wire(self) -> dict[str, object]:
        """Return everything as JSON can carry it."""
        return {**self.__getstate__(), "datasum": self.datasum.value, "checksum": self.checksum.value}

    @classmethod
    def from_wire(cls, document: Mapping[str, Any]) -> HduFacts:
        """Return what `to_wire` made a document of; members that this version does not know are left out."""
        sums = {"datasum": SumStatus(document["datasum"]), "checksum": SumStatus(document["checksum"])}
        return cls(**{**_known(cls, document), **sums})


@attrs.frozen(kw_only=True, getstate_setstate=False)
class FileFacts(_Picklable):
    """The facts that one pass over a file finds.

    Attributes
    ----------
    path
        The file that was read.
    size_bytes
        How many bytes were read.
    modified_ns
        Time of the last modification before and after the pass, nanoseconds since 1970.
    inode, changed_ns
        The file itself, and the time of the last change of its content or status, before and after the pass; None if
        the bytes came from no file.
    digests
        Lower-case hexadecimal digests by algorithm: ``adler32`` (8 digits) and ``sha256``; none if the file could not
        be read to its end, or a large one did not have to, because it was certain before that it is bad.
    format
        The word for the format by which it was read: ``fits``, ``hdf5``, ...; ``opaque`` if by none.
    kind
        What kind of product its structure is, e.g. ``DL0v1 Telescope``; empty if it has no name.
    checked
        Whether every part carries a checksum of its own and all agree.
    flags
        What a reader should know besides the defects.
    keywords
        The metadata that stand in the content, by FITS keyword; for
        `ctao_bdms.model.ProductMetadata.from_keywords`.
    hdus
        The parts of a FITS file; empty for other formats.
    trailing_bytes
        How many bytes follow the last part of a FITS file.
    defects
        Everything that is wrong with the content.
    """

    path: str
    size_bytes: int
    modified_ns: int
    inode: int | None = None
    changed_ns: int | None = None
    digests: Mapping[str, str] = attrs.field(converter=_read_only_text)
    format: str = "opaque"
    kind: str = ""
    checked: bool = False
    flags: tuple[Flag, ...] = ()
    keywords: Mapping[str, Keyword] = attrs.field(factory=dict, converter=_read_only, repr=False)
    hdus: tuple[HduFacts, ...] = attrs.field(default=(), repr=False)
    trailing_bytes: int = 0
    defects: tuple[Defect, ...] = ()

    @property
    def adler32(self) -> str:
        """The Adler-32, 8 hexadecimal digits, which Rucio and storage systems compare."""
        return self.digests["adler32"]

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes, 64 hexadecimal digits."""
        return self.digests["sha256"]

    @property
    def verdict(self) -> Verdict:
        """The conclusion about the file as a whole."""
        if _UNKNOWN & {defect.kind for defect in self.defects}:
            return Verdict.ERROR
        if self.defects:
            return Verdict.BAD
        return Verdict.GOOD if self.checked else Verdict.UNCHECKED

    def without_headers(self) -> FileFacts:
        """Return the same without the values of every header; those that identify the product are in `keywords`."""
        return attrs.evolve(self, hdus=tuple(attrs.evolve(hdu, keywords={}) for hdu in self.hdus))

    def to_wire(self, *, headers: bool = True) -> dict[str, object]:
        """Return everything as JSON can carry it.

        Parameters
        ----------
        headers
            Whether with the values of every header of a FITS file, some kilobytes. Those that identify the product
            are in `keywords` in any case.
        """
        told = self if headers else self.without_headers()
        return {
            **told.__getstate__(),
            "flags": [flag.value for flag in self.flags],
            "hdus": [hdu.to_wire() for hdu in told.hdus],
            "defects": [{"kind": defect.kind.value, "message": defect.message} for defect in self.defects],
        }

    @classmethod
    def from_wire(cls, document: Mapping[str, Any]) -> FileFacts:
        """Return what `to_wire` made a document of; members that this version does not know are left out.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is no such document.
        """
        parts = {
            "flags": tuple(map(Flag, document.get("flags", ()))),
            "hdus": tuple(map(HduFacts.from_wire, document.get("hdus", ()))),
            "defects": tuple(Defect(DefectKind(each["kind"]), each["message"]) for each in document.get("defects", ())),
        }
        return cls(**{**_known(cls, document), **parts})


def _known(cls: type[HduFacts | FileFacts], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a document that are fields of a class."""
    return {name: document[name] for name in attrs.fields_dict(cls) if name in document}
