"""Files whose times and sizes are at their ends: what `stat` can give, a producer or a broken disk may have left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ctao_bdms.model import DefectKind
from ctao_bdms.testing.invariant import Expected

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from ctao_bdms.testing.dl0 import WrittenFile

__all__ = ["TIMES_S", "copy_hollow", "hollow", "set_time", "tiny"]

_YEAR_S = 31_556_952
#: Times of modification, in seconds since 1970: beyond the ends of 32 bits, and of 64 bits of nanoseconds (2262).
TIMES_S = (
    *(0, -1, -(2**31), -(2**31) - 1, 2**31, 2**32 + 1),
    *(9_223_372_036, 9_223_372_037, -9_223_372_037, 330 * _YEAR_S, -330 * _YEAR_S, 10_000 * _YEAR_S),
)
#: Bytes of sparse files: more than any disk here has.
_HOLLOW_BYTES = (3 * 10**11, 10**12)
#: More than the files of a campaign have before they are made hollow.
_HEAD_BYTES = 1 << 22


def hollow(written: WrittenFile, chance: random.Random) -> Expected:
    """Let a file grow to a terabyte of nothing behind its own bytes; no disk is filled, and nobody can read it all."""
    os.truncate(written.path, chance.choice(_HOLLOW_BYTES))
    return Expected(
        path=written.path,
        trigger=written.trigger,
        lfn=written.lfn,
        size_bytes=written.path.stat().st_size,
        sha256="",
        defects=frozenset({DefectKind.TRAILING_BYTES}),
    )


def copy_hollow(source: Path, to: Path) -> None:
    """Copy the first bytes of a file and its length: a copy would write all its zeros."""
    with source.open("rb") as stream:
        to.write_bytes(stream.read(_HEAD_BYTES))
    os.truncate(to, source.stat().st_size)


def tiny(written: WrittenFile, chance: random.Random) -> Expected:
    """Leave some first bytes of a file."""
    os.truncate(written.path, chance.choice((1, 79, 80, 2879, 2880)))
    return Expected.of(written, DefectKind.TRUNCATED, DefectKind.NOT_A_PRODUCT, DefectKind.STRUCTURE)


def set_time(path: Path, seconds: int) -> None:
    """Give a file a time of modification; a file system that has not such times takes the nearest one that it has."""
    os.utime(path, (seconds, seconds), follow_symlinks=False)
