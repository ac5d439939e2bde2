"""What products must contain: DL0 cut at every border, and science-ready files with and without their parts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import attrs
import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from ctao_bdms.integrity import Scanner
from ctao_bdms.model import DefectKind, FileFacts, Flag, ProductMetadata, Verdict
from ctao_bdms.testing.dl0 import Dl0Kind, night_specs, write_content

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def scanned(content: bytes, name: str) -> FileFacts:
    scanner = Scanner(name, algorithms=())
    scanner.feed(content)
    return scanner.finish()


# --- DL0 -------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=range(3), ids=[str(kind) for kind in Dl0Kind])
def dl0(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    write_content(attrs.evolve(night_specs(3, telescopes=1, megabytes=0.1)[request.param]), tmp_path / "x.fits.fz")
    return (tmp_path / "x.fits.fz").read_bytes()


def test_a_file_cut_at_any_border_is_bad_and_says_so(dl0: bytes) -> None:
    whole = scanned(dl0, "x.fits.fz")
    assert (whole.verdict, whole.flags) == (Verdict.GOOD, ())
    assert whole.kind in {"DL0v1 Telescope", "DL0v1 Subarray", "DL0v1 Trigger"}
    for hdu in whole.hdus[1:]:
        facts = scanned(dl0[: hdu.offset], "x.fits.fz")
        assert facts.flags == (Flag.CUT_AT_HDU_BORDER,)
        assert {defect.kind for defect in facts.defects} == {DefectKind.STRUCTURE}


def test_a_part_lost_in_the_middle_is_no_cut(dl0: bytes) -> None:
    hdus = scanned(dl0, "x.fits.fz").hdus
    facts = scanned(dl0[: hdus[1].offset] + dl0[hdus[2].offset :], "x.fits.fz")
    assert (facts.verdict, facts.flags) == (Verdict.BAD, ())
    assert {defect.kind for defect in facts.defects} == {DefectKind.STRUCTURE}


def test_bytes_behind_a_cut_are_told_too(dl0: bytes) -> None:
    cut = scanned(dl0, "x.fits.fz").hdus[2].offset
    facts = scanned(dl0[:cut] + b"\0" * 10, "x.fits.fz")
    assert facts.flags == (Flag.TRAILING_BYTES,)
    assert {defect.kind for defect in facts.defects} == {DefectKind.STRUCTURE, DefectKind.TRAILING_BYTES}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"ZNAXIS2 =                    1", b"ZNAXIS2 =                    2", "has 2 rows, but must have 1"),
        (b"ZNAXIS2 =                    1", b"ZNAXIS2 =                    0", "has 0 rows, but must have 1"),
        (b"ZNAXIS2 =                    1", b"ZNAXIS2 =                   -1", "does not say how many rows"),
        (b"ZTILELEN=                  100", b"ZTILELEN=                    0", "has 1 rows, but 1 tiles of at most 0"),
    ],
)
def test_numbers_of_rows_that_cannot_be(dl0: bytes, old: bytes, new: bytes, said: str) -> None:
    assert old in dl0
    facts = scanned(dl0.replace(old, new, 1), "x.fits.fz")
    assert [said in str(defect) for defect in facts.defects if defect.kind is DefectKind.STRUCTURE] == [True]


def test_a_plain_file_that_does_not_claim_to_be_fits(dl0: bytes) -> None:
    denied = dl0.replace(b"SIMPLE  =                    T", b"SIMPLE  =                    F", 1)
    assert DefectKind.STRUCTURE in {defect.kind for defect in scanned(denied, "x.fits").defects}


# --- DL3 -------------------------------------------------------------------------------------------------------------

TIMES = {"MJDREFI": 51544, "MJDREFF": 0.5, "TIMEUNIT": "s", "TIMESYS": "TT", "TIMEREF": "LOCAL"}
EVENTS = {
    "HDUCLASS": "GADF",
    "HDUCLAS1": "EVENTS",
    "OBS_ID": 4711,
    "TSTART": 333778852.435,
    "TSTOP": 333780652.435,
    "RA_PNT": 83.63,
    "DEC_PNT": 22.51,
    "OBJECT": "Crab",
    "TELESCOP": "CTAO",
    "DATE": "2020-02-02T02:02:02",
}


def part(name: str, header: Mapping[str, object], columns: Sequence[str], rows: int = 3) -> fits.BinTableHDU:
    hdu = fits.BinTableHDU.from_columns([fits.Column(c, "E", array=np.zeros(rows)) for c in columns], name=name)
    hdu.header.update(header)
    return hdu


def events(**changes: object) -> fits.BinTableHDU:
    header = {word: value for word, value in {**TIMES, **EVENTS, **changes}.items() if value is not None}
    return part("EVENTS", header, ["EVENT_ID", "TIME", "RA", "DEC", "ENERGY"])


def gti(rows: int = 1) -> fits.BinTableHDU:
    return part("GTI", {**TIMES, "HDUCLASS": "GADF", "HDUCLAS1": "GTI"}, ["START", "STOP"], rows)


def area(columns: Sequence[str] = ("ENERG_LO", "ENERG_HI", "THETA_LO", "THETA_HI", "EFFAREA")) -> fits.BinTableHDU:
    words = {"HDUCLASS": "GADF", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "EFF_AREA", "HDUCLAS4": "AEFF_2D"}
    return part("EFFECTIVE AREA", words, columns, 1)


def written(*hdus: fits.BinTableHDU, checksum: bool = False) -> bytes:
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(stream, checksum=checksum)
    return stream.getvalue()


def test_events_are_known_by_their_class_and_tell_their_metadata() -> None:
    facts = scanned(written(events(), gti(), area()), "obs.fits")
    assert (facts.kind, facts.defects, facts.verdict) == ("GADF events", (), Verdict.UNCHECKED)
    metadata, defects = ProductMetadata.from_keywords(facts.keywords)
    assert defects == ()
    assert metadata["instance__obs_id"] == 4711
    assert metadata["instance__target_id"] == "Crab"
    assert metadata["observation__coverage__space__ra"] == 83.63
    for key, seconds in (("t_min", 333778852.435), ("t_max", 333780652.435)):
        expected = Time(51544.5, seconds / 86400, format="mjd", scale="tt").utc
        found = Time(metadata[f"observation__coverage__time__{key}"])
        assert abs((found - expected).sec) < 1e-4


def test_sums_of_science_ready_files_count_where_they_are() -> None:
    assert scanned(written(events(), gti(), checksum=True), "obs.fits").verdict is Verdict.GOOD


@pytest.mark.parametrize(
    ("changes", "begin"),
    [
        ({"DATE-OBS": "2017-01-01T00:01:09.184", "TIMESYS": "TT"}, "2017-01-01T00:00:00"),
        ({"DATE-OBS": "2016-12-31T23:00:00", "TIMESYS": "TT"}, "2016-12-31T22:58:51.816000"),
        ({"DATE-OBS": "2012-10-11", "TIME-OBS": "12:13:14", "TIMESYS": "UTC"}, "2012-10-11T12:13:14"),
        ({"DATE-OBS": "2012-10-11T12:13:14", "TIMESYS": "TAI"}, "2012-10-11T12:12:39"),
        ({"DATE-OBS": "2012-10-11T12:13:14", "TIMESYS": "LOCAL"}, None),
        ({"DATE-OBS": "tomorrow", "MJDREFI": 1e99}, None),
        ({"TSTART": "soon"}, None),
        ({"TIMEUNIT": "d"}, None),
    ],
)
def test_times_are_brought_to_utc(changes: dict[str, object], begin: str | None) -> None:
    assert scanned(written(events(**changes)), "obs.fits").keywords.get("DATE-BEG") == begin


@pytest.mark.parametrize(
    ("hdus", "said"),
    [
        ([events()], "a file with EVENTS must have a part GTI too"),
        ([events(TIMESYS=None, OBS_ID=None), gti()], "HDU 1 (EVENTS) has no keyword OBS_ID, TIMESYS"),
        ([events(), gti(rows=0)], "HDU 2 (GTI) has 0 rows, but must have 1 at least"),
        ([area(["ENERG_LO", "EFFAREA"])], "HDU 1 (RESPONSE/EFF_AREA) has no column ENERG_HI, THETA_LO, THETA_HI"),
        ([part("I", {"HDUCLASS": "GADF", "HDUCLAS1": "INDEX", "HDUCLAS2": "OBS"}, ["RA"])], "no column OBS_ID"),
    ],
)
def test_what_a_science_ready_part_lacks_is_told(hdus: list[fits.BinTableHDU], said: str) -> None:
    (defect,) = scanned(written(*hdus), "obs.fits").defects
    assert defect.kind is DefectKind.STRUCTURE
    assert said in defect.message


def test_a_science_ready_file_cut_behind_its_events_says_so() -> None:
    content = written(events(), gti())
    whole = scanned(content, "obs.fits")
    assert whole.flags == ()
    assert scanned(content[: whole.hdus[2].offset], "obs.fits").flags == (Flag.CUT_AT_HDU_BORDER,)


@pytest.mark.parametrize(
    ("hdu", "kind"),
    [
        (gti(), "GADF good times"),
        (area(), "GADF responses"),
        (
            part(
                "X", {"HDUCLASS": "GADF", "HDUCLAS1": "INDEX", "HDUCLAS2": "HDU"}, ["OBS_ID", "HDU_TYPE", "HDU_CLASS"]
            ),
            "GADF HDU index",
        ),
        (part("X", {"HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "RSP_MATRIX"}, ["A"]), ""),
        (part("X", {"HDUCLASS": "GADF", "HDUCLAS1": "NEWS"}, ["A"]), ""),
    ],
)
def test_the_kinds(hdu: fits.BinTableHDU, kind: str) -> None:
    facts = scanned(written(hdu), "x.fits")
    assert (facts.kind, facts.defects) == (kind, ())
