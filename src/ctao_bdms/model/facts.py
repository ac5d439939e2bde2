"""What one pass over the bytes of a file says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import attrs

from ctao_bdms.model.defects import Defect, DefectKind

__all__ = ["FileFacts", "HduFacts", "SumStatus", "Verdict"]

Keyword = str | int | float | bool


class SumStatus(StrEnum):
    """What a checksum card says: it agrees, it does not, or there is none. Absent is not valid."""

    OK = "ok"
    BAD = "bad"
    ABSENT = "absent"


class Verdict(StrEnum):
    """What is known of a file as a whole."""

    #: Every part was checked and agrees.
    GOOD = "good"
    #: Nothing is wrong, but not every part carries a checksum.
    UNCHECKED = "unchecked"
    #: There is at least one defect.
    BAD = "bad"
    #: It could not be read to the end: nothing is known.
    ERROR = "error"


#: Defects for which the content was not read to its end.
_UNKNOWN = {DefectKind.UNREADABLE, DefectKind.MISSING, DefectKind.NOT_A_FILE, DefectKind.CHANGING}


def _read_only(mapping: Mapping[str, Keyword]) -> Mapping[str, Keyword]:
    return MappingProxyType(dict(mapping))


def _read_only_text(mapping: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(mapping))


@attrs.frozen(kw_only=True)
class HduFacts:
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
    keywords: Mapping[str, Keyword] = attrs.field(converter=_read_only, repr=False)

    def __getstate__(self) -> dict[str, object]:
        return {**attrs.asdict(self, recurse=False), "keywords": dict(self.keywords)}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if name == "keywords" else value)  # type: ignore[arg-type]


@attrs.frozen(kw_only=True)
class FileFacts:
    """What one pass over the bytes of a file says.

    Attributes
    ----------
    path
        The file that was read.
    size_bytes
        How many bytes were read.
    modified_ns
        Time of the last modification before and after the pass, nanoseconds since 1970.
    digests
        Lower-case hexadecimal digests by algorithm: ``adler32`` (8 digits) and ``sha256``; none if the file could not
        be read to its end.
    hdus
        The parts of a FITS file; empty for other formats.
    trailing_bytes
        How many bytes follow the last part.
    defects
        Everything that is wrong with the content.
    """

    path: str
    size_bytes: int
    modified_ns: int
    digests: Mapping[str, str] = attrs.field(converter=_read_only_text)
    hdus: tuple[HduFacts, ...] = attrs.field(default=(), repr=False)
    trailing_bytes: int = 0
    defects: tuple[Defect, ...] = ()

    @property
    def adler32(self) -> str:
        """The Adler-32 of all bytes, 8 hexadecimal digits: the digest that Rucio and storage systems compare."""
        return self.digests["adler32"]

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes, 64 hexadecimal digits."""
        return self.digests["sha256"]

    @property
    def verdict(self) -> Verdict:
        """What is known of the file as a whole."""
        if _UNKNOWN & {defect.kind for defect in self.defects}:
            return Verdict.ERROR
        if self.defects:
            return Verdict.BAD
        sums = {status for hdu in self.hdus for status in (hdu.datasum, hdu.checksum)}
        return Verdict.GOOD if sums == {SumStatus.OK} else Verdict.UNCHECKED

    def __getstate__(self) -> dict[str, object]:
        return {**attrs.asdict(self, recurse=False), "digests": dict(self.digests)}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if name == "digests" else value)  # type: ignore[arg-type]
