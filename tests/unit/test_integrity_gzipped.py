"""FITS that is packed with gzip."""

from __future__ import annotations

import gzip
import io
import itertools
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


def members(content: bytes, *borders: int) -> bytes:
    """Pack content in several members, as bgzip, pigz and cat make them (RFC 1952, 2.2)."""
    places = [0, *borders, len(content)]
    return b"".join(gzip.compress(content[a:b], mtime=0) for a, b in itertools.pairwise(places))


@pytest.mark.parametrize("step", [1, 2, 7, 2880, 1 << 20])
@pytest.mark.parametrize("borders", [(2880,), (0,), (1, 2, 3), (100, 100, 5000), (len(CONTENT),)], ids=str)
def test_several_members_are_one_content(borders: tuple[int, ...], step: int) -> None:
    packed = members(CONTENT[: 2880 * 4] if step == 1 else CONTENT, *borders)
    facts = scanned(packed, step)
    if step > 1:
        assert (facts.verdict, facts.flags, facts.defects) == (Verdict.GOOD, (Flag.GZIPPED,), ())
        assert facts.hdus[0].data_bytes == len(CONTENT) - 2880
    else:  # the FITS within is cut, and nothing else is wrong
        assert [defect.kind for defect in facts.defects] == [DefectKind.TRUNCATED]
        assert "HDU 0" in facts.defects[0].message


def test_many_small_members_are_read() -> None:
    packed = members(CONTENT[:28800], *range(1, 28800))
    assert "HDU 0" in scanned(packed).defects[0].message


def test_every_cut_in_a_later_member_is_seen() -> None:
    first = gzip.compress(CONTENT[:2880], mtime=0)
    packed = first + gzip.compress(CONTENT[2880:], mtime=0)
    for length in [*range(len(first), len(first) + 60), *range(len(first) + 60, len(packed), 9973), len(packed) - 1]:
        assert [defect.kind for defect in scanned(packed[:length]).defects] == [DefectKind.TRUNCATED]


@pytest.mark.parametrize("behind", [b"\x1f", b"\0" * 512, b"\x1f\x8c", b"\x1f" * 9], ids=str)
@pytest.mark.parametrize("step", [1 << 20, 5])
def test_bytes_that_begin_no_member_are_trailing(behind: bytes, step: int) -> None:
    facts = scanned(PACKED + behind, step)
    assert (facts.trailing_bytes, facts.verdict, facts.defects) == (len(behind), Verdict.UNCHECKED, ())


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
