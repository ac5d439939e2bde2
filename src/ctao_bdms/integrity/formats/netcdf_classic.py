"""Parse the header of a classic NetCDF file, and compute the required length of the file.

Source: The NetCDF Classic Format Specification, versions 1, 2 (64-bit offsets) and 5 (64-bit data). The NetCDF library
is not used: it accepts truncated files, and returns fill values for missing data. The format has no checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import BinaryIO

import attrs

from ctao_bdms.model import Keyword

__all__ = ["SIGNATURE", "ClassicHeader", "HeaderError", "read_classic_header"]

SIGNATURE = b"CDF"

_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
#: Size of one value by type, in bytes, and its `struct` format; text has none.
_TYPES = {1: (1, "b"), 2: (1, ""), 3: (2, "h"), 4: (4, "i"), 5: (4, "f"), 6: (8, "d")}
_TYPES_5 = {**_TYPES, 7: (1, "B"), 8: (2, "H"), 9: (4, "I"), 10: (8, "q"), 11: (8, "Q")}
_MAX_ITEMS = 10_000
_MAX_RANK = 1024
#: An upper limit of file sizes, in bytes, so that products of lengths stay small.
_TOO_LARGE = 1 << 80
_MAX_TEXT_BYTES = 1 << 16
#: The maximum size of a header, in bytes.
_MAX_HEADER_BYTES = 1 << 24


class HeaderError(ValueError):
    """The header is invalid; the text says why."""


class HeaderEndsError(HeaderError):
    """The file ends within its header."""


@attrs.frozen(kw_only=True)
class ClassicHeader:
    """The contents of a header.

    Attributes
    ----------
    version
        1, 2 or 5.
    attributes
        The global attributes; None for one that is not a single value.
    needed_bytes
        The minimum length of the file, in bytes.
    """

    version: int
    attributes: Mapping[str, Keyword | None]
    needed_bytes: int


class _Cursor:
    """Reads numbers and names, big-endian, padded to four bytes."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.position = 0
        self.version = 0
        self.format = ""

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if self.position + count > _MAX_HEADER_BYTES:
            raise HeaderError("its header claims to be longer than any")
        data = self._source.read(count)
        if len(data) < count:
            raise HeaderEndsError("it ends within its header")
        self.position += count
        return data

    def number(self, width: int = 0) -> int:
        """Return a count: 4 bytes wide, 8 in version 5."""
        return int.from_bytes(self.take(width or (8 if self.version == 5 else 4)), "big")

    def padded(self, count: int) -> bytes:
        """Return bytes that are padded to a multiple of four."""
        return self.take(count + -count % 4)[:count]

    def name(self) -> str:
        """Return a name."""
        length = self.number()
        if length > _MAX_TEXT_BYTES:
            raise HeaderError("its header has a name that is too long")
        return self.padded(length).decode("utf-8", "backslashreplace")

    def items(self, tag: int) -> range:
        """Return the indices of a list of dimensions, attributes or variables."""
        found, count = self.number(4), self.number()
        if found != tag and (found or count):
            raise HeaderError(f"its header has {found} where {tag} must be")
        if count > _MAX_ITEMS:
            raise HeaderError(f"its header claims a list of {count}")
        return range(count)

    def size(self) -> int:
        """Return the size of one value of a type, in bytes."""
        types = _TYPES_5 if self.version == 5 else _TYPES
        kind = self.number(4)
        if kind not in types:
            raise HeaderError(f"its header has a value of type {kind}, which does not exist")
        self.format = types[kind][1]
        return types[kind][0]


def read_classic_header(source: BinaryIO) -> ClassicHeader:
    """Parse the header.

    Parameters
    ----------
    source
        The file, open for reading bytes, at its beginning.

    Raises
    ------
    HeaderError
        If the header is invalid.
    """
    cursor = _Cursor(source)
    if cursor.take(3) != SIGNATURE:
        raise HeaderError("it does not begin as a NetCDF file does")
    version = cursor.number(1)
    if version not in {1, 2, 5}:
        raise HeaderError(f"its header has version {version}, which does not exist")
    cursor.version = version
    records = cursor.number()
    if records == (1 << 64 if version == 5 else 1 << 32) - 1:
        raise HeaderError("it was being written when it was copied: its number of records is not set")
    lengths = [_dimension(cursor) for _ in cursor.items(_DIMENSIONS)]
    attributes = dict(_attribute(cursor) for _ in cursor.items(_ATTRIBUTES))
    fixed: list[tuple[int, int]] = []
    per_record: list[tuple[int, int]] = []
    for _ in cursor.items(_VARIABLES):
        begin, size, is_record = _variable(cursor, lengths)
        (per_record if is_record else fixed).append((begin, size))
    ends = [cursor.position, *(begin + size for begin, size in fixed)]
    if records:
        # In each record, the data of every variable are padded to a word, unless there is only one variable.
        sizes = [size for _, size in per_record]
        stride = sum(sizes) if len(sizes) == 1 else sum(size + -size % 4 for size in sizes)
        ends += [begin + (records - 1) * stride + size for begin, size in per_record]
    return ClassicHeader(version=version, attributes=attributes, needed_bytes=max(ends))


def _dimension(cursor: _Cursor) -> int:
    """Return the length of a dimension; 0 is the record dimension."""
    cursor.name()
    return cursor.number()


def _attribute(cursor: _Cursor) -> tuple[str, Keyword | None]:
    """Return name and value of an attribute."""
    name = cursor.name()
    size = cursor.size()
    kind, count = cursor.format, cursor.number()
    data = cursor.padded(count * size)
    if not kind:
        return name, data.decode("utf-8", "backslashreplace").rstrip("\0")
    return name, struct.unpack(f">{kind}", data)[0] if count == 1 else None


def _variable(cursor: _Cursor, lengths: list[int]) -> tuple[int, int, bool]:
    """Return the offset of a variable, its size (per record, if it has records), and whether it has records."""
    cursor.name()
    rank = cursor.number()
    if rank > _MAX_RANK:
        raise HeaderError(f"its header claims a variable of {rank} dimensions")
    places = [cursor.number() for _ in range(rank)]
    if any(place >= len(lengths) for place in places):
        raise HeaderError("its header has a variable of a dimension that is not there")
    for _ in cursor.items(_ATTRIBUTES):
        _attribute(cursor)
    value = cursor.size()
    cursor.number()  # vsize: redundant, and wrong by specification for large variables
    begin = cursor.number(4 if cursor.version == 1 else 8)
    shape = [lengths[place] for place in places]
    is_record = bool(shape) and shape[0] == 0
    if 0 in shape[1:]:
        raise HeaderError("its header has a variable that grows in another than its first dimension")
    size = value
    for length in shape[1:] if is_record else shape:
        size = min(size * length, _TOO_LARGE)
    return begin, size, is_record
