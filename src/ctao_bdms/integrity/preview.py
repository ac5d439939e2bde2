"""What is certain of a large FITS file before it is read: headers say where every part ends, and holes are zeros.

To read a file takes as long as it is large, however little is in it. Where the headers alone prove that it is bad, or
the few bytes that a file with holes really has, nobody needs to read the rest. What is not proved so is read.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ctao_bdms.integrity.hdus import BLOCK_BYTES, FitsWalk
from ctao_bdms.integrity.reading import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.integrity.hdus import Walked
    from ctao_bdms.integrity.reading import SourceFile

__all__ = ["preview"]

#: So many stretches of data are looked at to find out how much of a file is holes.
_MOST_STRETCHES = 10_000


def preview(source: SourceFile) -> Walked:
    """Follow the parts of a FITS file, reading headers, and of the data what is cheap.

    Data are read where most of the file is holes: then their sums are compared as in a full pass. Data that are not
    read are taken to be what their header says, so that every defect is proved; but the absence of defects is not.

    Parameters
    ----------
    source
        The open file.
    """
    try:
        return _followed(source)
    finally:
        os.lseek(source.descriptor, 0, os.SEEK_SET)  # to look for holes moves the place where the next bytes are read


def _followed(source: SourceFile) -> Walked:
    """Follow the parts of a file."""
    walk, position, size_bytes = FitsWalk(), 0, source.size_bytes
    is_hollow = _data_bytes(source) < size_bytes // 2
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while position < size_bytes and not walk.is_over:
        in_data = min(walk.missing_bytes, size_bytes - position)
        if in_data and not is_hollow:
            walk.skip(in_data, are_zeros=False)
            position += in_data
            continue
        hole = min(_next(source, position, os.SEEK_DATA) - position, in_data)
        if hole:
            walk.skip(hole, are_zeros=True)
            position += hole
            continue
        wanted = min(CHUNK_BYTES, in_data, _next(source, position, os.SEEK_HOLE) - position) if in_data else BLOCK_BYTES
        count = source.read_at(buffer[:wanted], position)
        if not count:
            break
        walk.feed(buffer[:count])
        position += count
    if walk.is_over:
        walk.skip(size_bytes - position, are_zeros=False)
    return walk.finish()


def _next(source: SourceFile, position: int, what: int) -> int:
    """Return where the next data, or the next hole, begin at or after a position; the file's end if none do."""
    try:
        return min(os.lseek(source.descriptor, position, what), source.size_bytes)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return source.size_bytes
        # The file system knows of no holes: all is data.
        return position if what == os.SEEK_DATA else source.size_bytes


def _data_bytes(source: SourceFile) -> int:
    """Return how much of a file is no hole, in bytes; all of it if it has too many holes to be counted."""
    total = 0
    for number, (begin, end) in enumerate(_stretches(source)):
        if number >= _MOST_STRETCHES:
            return source.size_bytes
        total += end - begin
    return total


def _stretches(source: SourceFile) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each stretch of data."""
    end = 0
    while (begin := _next(source, end, os.SEEK_DATA)) < source.size_bytes:
        end = _next(source, begin, os.SEEK_HOLE)
        yield begin, end
