"""Preview a large FITS file: find defects in headers and sparse data.

A full read takes long for a large file. It is not needed if the headers alone prove a defect, or the few bytes between
the holes of a sparse file do. A file without a proven defect is read in full.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ctao_bdms.integrity.hdus import BLOCK_BYTES, FitsParser
from ctao_bdms.integrity.source import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.integrity.hdus import ParsedFits
    from ctao_bdms.integrity.source import SourceFile

__all__ = ["preview"]

#: Largest number of data extents that are counted to measure the holes of a sparse file.
_MOST_STRETCHES = 10_000


def preview(source: SourceFile) -> ParsedFits:
    """Parse the headers of a FITS file, and its data if most of the file is holes.

    Data that are read have their sums verified as in a full pass. Data that are not read are assumed to match their
    header: every defect that is found is real, but not every defect is found.
    """
    try:
        return _parsed(source)
    finally:
        os.lseek(source.descriptor, 0, os.SEEK_SET)  # SEEK_HOLE moves the file offset


def _parsed(source: SourceFile) -> ParsedFits:
    parser, position, size_bytes = FitsParser(), 0, source.size_bytes
    is_hollow = _data_bytes(source) < size_bytes // 2
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while position < size_bytes and not parser.is_over:
        in_data = min(parser.missing_bytes, size_bytes - position)
        if in_data and not is_hollow:
            parser.skip(in_data, are_zeros=False)
            position += in_data
            continue
        hole = min(_next(source, position, os.SEEK_DATA) - position, in_data)
        if hole:
            parser.skip(hole, are_zeros=True)
            position += hole
            continue
        wanted = min(CHUNK_BYTES, in_data, _next(source, position, os.SEEK_HOLE) - position) if in_data else BLOCK_BYTES
        count = source.read_at(buffer[:wanted], position)
        if not count:
            break
        parser.feed(buffer[:count])
        position += count
    if parser.is_over:
        parser.skip(size_bytes - position, are_zeros=False)
    return parser.finish()


def _next(source: SourceFile, position: int, what: int) -> int:
    """Return the offset of the next data or hole, else the file size."""
    try:
        return min(os.lseek(source.descriptor, position, what), source.size_bytes)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return source.size_bytes
        # The file system does not support holes: the whole file is data.
        return position if what == os.SEEK_DATA else source.size_bytes


def _data_bytes(source: SourceFile) -> int:
    """Return the number of bytes outside holes; the file size if there are too many."""
    total = 0
    for number, (begin, end) in enumerate(_stretches(source)):
        if number >= _MOST_STRETCHES:
            return source.size_bytes
        total += end - begin
    return total


def _stretches(source: SourceFile) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each data extent."""
    end = 0
    while (begin := _next(source, end, os.SEEK_DATA)) < source.size_bytes:
        end = _next(source, begin, os.SEEK_HOLE)
        yield begin, end
