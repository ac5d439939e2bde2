"""Large files that are certainly bad are not read: headers and holes prove it. What is not proved is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from ctao_bdms.integrity import scan, scanning
from ctao_bdms.model import DefectKind, Flag, Verdict
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_night

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.model import FileFacts

_TERA = 10**12


def _bad(path: Path) -> FileFacts:
    """Scan a file that is bad without being read whole."""
    read = 0

    def count(number: int) -> None:
        nonlocal read
        read += number

    facts = scan(path, on_bytes=count)
    assert facts.verdict is Verdict.BAD
    assert read == 0
    assert Flag.UNREAD in facts.flags
    assert (dict(facts.digests), facts.size_bytes) == ({}, path.stat().st_size)
    return facts


@pytest.fixture
def dl0(tmp_path: Path) -> Path:
    (file,) = write_night(tmp_path, night_specs(1, megabytes=0.05))
    return file.path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A FITS file whose data are a hole of 300 MB, with the sums that zeros have."""
    path = tmp_path / "image.fits"
    hdu = fits.PrimaryHDU(np.zeros((1, 1), dtype=np.uint8))
    hdu.add_checksum()
    hdu.writeto(path)
    header = path.read_bytes()[:2880].replace(b"NAXIS1  =                    1", b"NAXIS1  =            300000000")
    path.write_bytes(header)
    os.truncate(path, 2880 + -(-300_000_000 // 2880) * 2880)
    return path


def test_hole_that_is_called_a_product_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.fz"
    path.touch()
    os.truncate(path, _TERA)
    assert [defect.kind for defect in _bad(path).defects] == [DefectKind.NOT_A_PRODUCT]


def test_hole_behind_the_last_part_is_refused_at_once(dl0: Path) -> None:
    size = dl0.stat().st_size
    os.truncate(dl0, _TERA)
    facts = _bad(dl0)
    assert facts.trailing_bytes == _TERA - size
    assert facts.keywords, "what its headers say is told"


def test_data_that_are_a_hole_and_have_another_sum_are_refused_at_once(image: Path) -> None:
    content = image.read_bytes()[:2880]
    begin = content.index(b"DATASUM")
    card = b"DATASUM = '1234567   '".ljust(80)
    with image.open("r+b") as file:
        file.write(content[:begin] + card + content[begin + 80 :])
    assert "DATASUM is '1234567', but the data sum up to 0" in _bad(image).defects[0].message


def test_file_that_is_shorter_than_its_headers_say_is_refused_at_once(image: Path) -> None:
    os.truncate(image, 280_000_000)
    (defect,) = _bad(image).defects
    assert defect.kind is DefectKind.TRUNCATED
    assert "bytes before the end of its data, which are 300000960 bytes with padding" in defect.message


def test_zeros_whose_sums_agree_are_sound_and_read(image: Path) -> None:
    """A hole is no proof: data may be zeros. CHECKSUM is of the header that was replaced, and so left out."""
    content = image.read_bytes()[:2880]
    begin = content.index(b"CHECKSUM")
    with image.open("r+b") as file:
        file.write(content[:begin] + b"COMMENT".ljust(80) + content[begin + 80 :])
    facts = scan(image, ("adler32",))
    assert facts.verdict is Verdict.UNCHECKED
    assert facts.digests.keys() == {"adler32"}


@pytest.mark.parametrize("kind", [None, *Damage])
def test_what_is_refused_unread_is_refused_when_it_is_read(
    dl0: Path, monkeypatch: pytest.MonkeyPatch, kind: Damage | None
) -> None:
    if kind is not None:
        damage(dl0, kind)
    whole = scan(dl0)
    monkeypatch.setattr(scanning, "_PREVIEW_ABOVE_BYTES", 0)
    facts = scan(dl0)
    if Flag.UNREAD in facts.flags:
        assert {d.kind for d in facts.defects} <= {d.kind for d in whole.defects}
        assert {d.message for d in facts.defects} <= {d.message for d in whole.defects}
    else:
        assert facts == whole
    if kind is None:
        assert facts.verdict is Verdict.GOOD


@pytest.mark.parametrize(
    "begin", [b"", b"rubbish", b"\x89HDF\r\n\x1a\n", b"CDF\x07"], ids=["zeros", "text", "hdf5", "cdf"]
)
@pytest.mark.parametrize("suffix", [".fits", ".fits.fz", ".fits.gz", ".h5", ".nc", ".ecsv"])
def test_large_file_whose_first_bytes_decide_is_not_read(tmp_path: Path, suffix: str, begin: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(begin)
    os.truncate(path, 20_000_000_000)
    read: list[int] = []
    facts = scan(path, on_bytes=read.append)
    assert (facts.verdict, read) == (Verdict.BAD, [])
    assert Flag.UNREAD in facts.flags
    assert facts.size_bytes == 20_000_000_000
    path.unlink()
    path.write_bytes(begin.ljust(5000, b"\0"))
    assert {defect.kind for defect in scan(path).defects} == {defect.kind for defect in facts.defects}
