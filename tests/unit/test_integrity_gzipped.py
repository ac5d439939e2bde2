"""FITS that is packed with gzip."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib

import numpy as np
import pytest
from astropy.io import fits

from ctao_bdms.integrity import Scanner
from ctao_bdms.model import DefectKind, FileFacts, Flag, SumStatus, Verdict


def content() -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 99, 400_000).astype("u1")
    fits.HDUList([fits.PrimaryHDU(noise)]).writeto(stream)
    return stream.getvalue()


CONTENT = content()
PACKED = gzip.compress(CONTENT, mtime=0)


def scanned(packed: bytes, step: int = 1 << 20) -> FileFacts:
    scanner = Scanner("x.fits.gz", algorithms=("adler32",))
    for start in range(0, len(packed), step):
        scanner.feed(packed[start : start + step])
    return scanner.finish()


@pytest.mark.parametrize("step", [7, 2880, 1 << 20])
def test_the_sum_of_gzip_proves_what_carries_no_other(step: int) -> None:
    facts = scanned(PACKED, step)
    assert (facts.format, facts.verdict, facts.flags, facts.defects) == ("fits", Verdict.GOOD, (Flag.GZIPPED,), ())
    assert facts.size_bytes == len(PACKED)
    assert facts.adler32 == f"{zlib.adler32(PACKED):08x}"
    assert facts.hdus[0].data_bytes == len(CONTENT) - 2880
    assert facts.hdus[0].datasum is SumStatus.ABSENT


def test_every_cut_is_seen() -> None:
    for length in [*range(1, 200), *range(200, len(PACKED), 9973), len(PACKED) - 1]:
        assert [defect.kind for defect in scanned(PACKED[:length]).defects] == [DefectKind.TRUNCATED]


def test_every_flip_behind_the_header_is_seen() -> None:
    for position in range(10, len(PACKED), 4999):
        flipped = bytearray(PACKED)
        flipped[position] ^= 4
        facts = scanned(bytes(flipped))
        assert facts.verdict is Verdict.BAD
        assert {defect.kind for defect in facts.defects} <= {DefectKind.CORRUPT, DefectKind.TRUNCATED}


def test_what_is_packed_is_examined() -> None:
    assert [defect.kind for defect in scanned(gzip.compress(CONTENT[:9999])).defects] == [DefectKind.TRUNCATED]
    assert [defect.kind for defect in scanned(gzip.compress(b"text" * 999)).defects] == [DefectKind.NOT_A_PRODUCT]
    assert [defect.kind for defect in scanned(CONTENT).defects] == [DefectKind.CORRUPT]


@pytest.mark.parametrize("packed", [PACKED + b"x" * 10, gzip.compress(CONTENT + b"x" * 10)], ids=["behind", "within"])
@pytest.mark.parametrize("step", [1 << 20, 1000])
def test_trailing_bytes_are_counted(packed: bytes, step: int) -> None:
    facts = scanned(packed, step)
    assert (facts.trailing_bytes, facts.verdict) == (10, Verdict.UNCHECKED)
    assert facts.flags == (Flag.GZIPPED, Flag.TRAILING_BYTES)


def test_a_bomb_is_left_alone() -> None:
    header = CONTENT[:2880].replace(b"NAXIS1  =               400000", b"NAXIS1  =           4000000000")
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(header) + b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(400)) + packer.flush()
    assert len(bomb) < 500_000
    tracemalloc.start()
    facts = scanned(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [str(defect) for defect in facts.defects] == ["not-a-product: it unpacks to more than 100 times its size"]
    assert peak < 8 << 20
