"""FITS files as other software writes them: what our reader does not know is not the file's fault."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from ctao_bdms.integrity import Scanner, scan
from ctao_bdms.model import DefectKind, FileFacts, Flag, SumStatus, Verdict
from ctao_bdms.testing.dl0 import night_specs, write_night
from ctao_bdms.utc import parse_utc

if TYPE_CHECKING:
    from pathlib import Path

GTI_TIMES = {"MJDREFI": 61041, "MJDREFF": 0.0, "TIMESYS": "tt"}
TIMES = {**GTI_TIMES, "OBS_ID": 1, "HDUCLASS": "GADF", "HDUCLAS1": "EVENTS"}
EVENT_COLUMNS = ("EVENT_ID", "TIME", "RA", "DEC", "ENERGY")


def table(name: str, columns: tuple[str, ...], cards: dict[str, object]) -> fits.BinTableHDU:
    hdu = fits.BinTableHDU.from_columns([fits.Column(each, "D", array=np.ones(3)) for each in columns], name=name)
    hdu.header.update(cards)
    return hdu


def content(*hdus: fits.hdu.base._BaseHDU, checksum: bool = True) -> bytes:
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(stream, checksum=checksum)
    return stream.getvalue()


def scanned(data: bytes, name: str = "x.fits") -> FileFacts:
    scanner = Scanner(name, algorithms=("adler32",))
    scanner.feed(data)
    return scanner.finish()


@pytest.mark.parametrize("name", ["GTI", "gti", "Gti "])
def test_good_times_without_class_are_known_by_their_name(name: str) -> None:
    """gammapy writes them with EXTNAME only."""
    gti = table(name, ("START", "STOP"), GTI_TIMES)
    facts = scanned(content(table("EVENTS", EVENT_COLUMNS, TIMES), gti))
    assert (facts.kind, facts.verdict, facts.defects) == ("GADF events", Verdict.GOOD, ())


def test_good_times_known_by_their_name_are_checked() -> None:
    gti = table("GTI", ("START",), GTI_TIMES)
    (defect,) = scanned(content(table("EVENTS", EVENT_COLUMNS, TIMES), gti)).defects
    assert "has no column STOP" in defect.message


def without(data: bytes, keyword: bytes) -> bytes:
    """Rename each card of a checksum, and make CHECKSUM right again."""
    with fits.open(io.BytesIO(data)) as hdus:
        for hdu in hdus:
            hdu.add_checksum()
            del hdu.header[keyword.decode()]
            if keyword == b"DATASUM":
                hdu.header["CHECKSUM"] = "0" * 16
                hdu.header["CHECKSUM"] = hdu._calculate_checksum(hdu._calculate_datasum())
        stream = io.BytesIO()
        hdus.writeto(stream)
    return stream.getvalue()


def test_checksum_without_datasum_proves_the_hdu() -> None:
    data = without(content(table("X", ("A",), {})), b"DATASUM")
    facts = scanned(data)
    assert {(hdu.checksum, hdu.datasum) for hdu in facts.hdus} == {(SumStatus.OK, SumStatus.ABSENT)}
    assert facts.verdict is Verdict.GOOD
    flipped = bytearray(data)
    flipped[-2880] ^= 1
    assert scanned(bytes(flipped)).verdict is Verdict.BAD


def test_datasum_without_checksum_leaves_the_header_unchecked() -> None:
    facts = scanned(without(content(table("X", ("A",), {})), b"CHECKSUM"))
    assert {(hdu.checksum, hdu.datasum) for hdu in facts.hdus} == {(SumStatus.ABSENT, SumStatus.OK)}
    assert facts.verdict is Verdict.UNCHECKED


def test_bytes_that_begin_a_header_are_a_cut() -> None:
    data = content(table("X", ("A",), {}))
    border = scanned(data).hdus[1].offset
    for length in range(border + 1, border + 2880, 7):
        facts = scanned(data[:length])
        if length < border + 4:  # one to three letters may be anything
            assert (facts.trailing_bytes, facts.defects) == (length - border, ())
        else:
            assert [defect.kind for defect in facts.defects] == [DefectKind.TRUNCATED]


def test_other_bytes_behind_the_last_hdu_are_trailing() -> None:
    data = content(table("X", ("A",), {}))
    for behind in (b"\0" * 100, b" " * 100, b"XTEND" * 9, b"END".ljust(80)):
        facts = scanned(data + behind)
        assert (facts.flags, facts.trailing_bytes, facts.defects) == ((Flag.TRAILING_BYTES,), len(behind), ())


def packed_image() -> bytes:
    """Return an image as fpack compresses it: tiles in a table (FITS Standard 4.0, 10.1)."""
    noise = np.arange(10_000, dtype="i2").reshape(100, 100)
    return content(fits.CompImageHDU(noise, compression_type="RICE_1"))


def test_compressed_image_is_no_dl0() -> None:
    facts = scanned(packed_image(), "image.fits.fz")
    assert (facts.verdict, facts.defects) == (Verdict.GOOD, ())
    flipped = bytearray(packed_image())
    flipped[-2880] ^= 1
    assert scanned(bytes(flipped), "image.fits.fz").verdict is Verdict.BAD


@pytest.mark.parametrize("name", ["TEL001_SDH0001_20261121T221500_SBID2_OBSID2_CHUNK000.fits.fz", "empty.fits.fz"])
def test_file_that_could_be_dl0_is_held_to_it(name: str) -> None:
    data = packed_image() if name.startswith("TEL") else content()
    assert scanned(data, name).verdict is Verdict.BAD


def test_dl0_with_names_in_capitals_is_dl0(tmp_path: Path) -> None:
    """So astropy writes the names of HDUs."""
    for written in write_night(tmp_path, night_specs(6, megabytes=0.01)):
        before = scan(written.path)
        with fits.open(written.path, disable_image_compression=True) as hdus:
            for hdu in hdus[1:]:
                hdu.header["EXTNAME"] = hdu.header["EXTNAME"].upper()
            hdus.writeto(written.path, overwrite=True, checksum=True)
        after = scan(written.path)
        assert "EVENTS" in after.hdus[-1].name or after.hdus[-1].name == "TRIGGERS"
        assert (after.verdict, after.kind, after.defects) == (Verdict.GOOD, before.kind, ())
        assert after.keywords == before.keywords


@pytest.mark.parametrize(
    "text", ["2016-12-31T23:59:60", "2016-12-31T23:59:60.999", "20161231T235960", "2012-06-30T23:59:60Z"]
)
def test_leap_second_stands_before_the_next_day_and_after_all_others(text: str) -> None:
    instant = parse_utc(text)
    assert instant.isoformat()[11:] == "23:59:59.999999+00:00"
    assert parse_utc("2016-12-31T23:59:59.9") < parse_utc("2016-12-31T23:59:60") < parse_utc("2017-01-01T00:00:00")


@pytest.mark.parametrize(
    "text", ["2016-12-30T23:59:60", "2016-12-31T22:59:60", "2016-12-31T23:59:61", "2016-12-31T23:60:00"]
)
def test_second_60_elsewhere_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_utc(text)
