"""The walk against astropy, the oracle: same parts, same sums, same values; and the cases in which we know better."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from ctao_bdms.integrity import Scanner
from ctao_bdms.model import DefectKind, FileFacts, SumStatus, Verdict
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from collections.abc import Callable

STATUS = {0: SumStatus.BAD, 1: SumStatus.OK, 2: SumStatus.ABSENT}
RANDOM = np.random.default_rng(1)


def table(rows: int) -> fits.BinTableHDU:
    columns = [
        fits.Column("time", "D", array=RANDOM.random(rows)),
        fits.Column("name", "7A", array=np.array(["x"] * rows)),
        fits.Column(
            "trace", "PI()", array=np.array([np.arange(i % 5) for i in range(rows)] + [None], dtype=object)[:-1]
        ),
    ]
    return fits.BinTableHDU.from_columns(columns, name="EVENTS")


def groups() -> fits.GroupsHDU:
    data = fits.GroupData(RANDOM.random((5, 1, 3)).astype("f4"), parnames=["u"], pardata=[np.arange(5.0)], bitpix=-32)
    return fits.GroupsHDU(data)


def long_cards() -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(RANDOM.integers(0, 99, (7, 11)).astype("i2"))
    hdu.header["LONGTEXT"] = ("it's " * 40).strip()
    hdu.header["HIERARCH CTA PRODUCT ID"] = "abc"
    hdu.header["QUOTED"] = "it''s 'so'"
    hdu.header["EMPTY"] = ""
    hdu.header["UNDEF"] = None
    hdu.header["TRUTH"] = True
    hdu.header["SMALL"] = -1.5e-300
    hdu.header["WHOLE"] = -42
    hdu.header["COMMENT"] = "a = b / c"
    hdu.header.extend([(f"KEY{i}", i) for i in range(70)])
    return hdu


MAKERS: dict[str, Callable[[], list[fits.hdu.base._BaseHDU]]] = {
    "no data": lambda: [fits.PrimaryHDU()],
    "bytes": lambda: [fits.PrimaryHDU(RANDOM.integers(0, 255, 2881).astype("u1"))],
    "whole numbers": lambda: [fits.PrimaryHDU(RANDOM.integers(-9, 9, (3, 4, 5)).astype("i8"))],
    "unsigned": lambda: [fits.PrimaryHDU(), fits.ImageHDU(RANDOM.integers(0, 99, 100).astype("u2"), name="U")],
    "floats": lambda: [fits.PrimaryHDU(), fits.ImageHDU(RANDOM.random((100, 100)).astype("f4"))],
    "exactly one block": lambda: [fits.PrimaryHDU(np.ones(2880, dtype="u1")), fits.ImageHDU(np.ones(1))],
    "zeros": lambda: [fits.PrimaryHDU(np.zeros(10_000, dtype="i4"))],
    "all ones": lambda: [fits.PrimaryHDU(np.full(2880, -1, dtype="i4"))],
    "table with heap": lambda: [fits.PrimaryHDU(), table(57)],
    "no rows": lambda: [fits.PrimaryHDU(), table(0)],
    "text table": lambda: [fits.PrimaryHDU(), fits.TableHDU.from_columns([fits.Column("a", "I5", array=np.arange(9))])],
    "compressed": lambda: [fits.PrimaryHDU(), fits.CompImageHDU(RANDOM.integers(0, 9, (40, 40)).astype("i2"))],
    "random groups": lambda: [groups()],
    "long cards": lambda: [long_cards()],
    "many": lambda: [fits.PrimaryHDU(), *[fits.ImageHDU(np.arange(i), name=f"N{i}") for i in range(20)]],
}


def made(kind: str, checksum: bool | str = True) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.fits"
        fits.HDUList(MAKERS[kind]()).writeto(path, checksum=checksum)
        return path.read_bytes()


def scanned(content: bytes, name: str = "x.fits") -> FileFacts:
    scanner = Scanner(name, algorithms=())
    scanner.feed(content)
    return scanner.finish()


def by_astropy(content: bytes) -> list[tuple[int, int, int, SumStatus, SumStatus]]:
    found = []
    with fits.open(io.BytesIO(content), disable_image_compression=True) as hdus:
        for hdu in hdus:
            place = hdu.fileinfo()
            found.append(
                (
                    place["hdrLoc"],
                    place["datLoc"] - place["hdrLoc"],
                    place["datSpan"],
                    STATUS[hdu.verify_datasum()],
                    STATUS[hdu.verify_checksum()],
                )
            )
    return found


def by_us(content: bytes) -> list[tuple[int, int, int, SumStatus, SumStatus]]:
    return [(hdu.offset, hdu.header_bytes, hdu.data_bytes, hdu.datasum, hdu.checksum) for hdu in scanned(content).hdus]


@pytest.mark.parametrize("checksum", [True, "datasum", False])
@pytest.mark.parametrize("kind", MAKERS)
def test_parts_and_sums_are_those_of_astropy(kind: str, checksum: bool | str) -> None:
    content = made(kind, checksum)
    assert by_us(content) == by_astropy(content)
    facts = scanned(content)
    assert facts.defects == ()
    assert facts.verdict is (Verdict.GOOD if checksum is True else Verdict.UNCHECKED)


@pytest.mark.parametrize("kind", MAKERS)
def test_values_are_those_of_astropy(kind: str) -> None:
    content = made(kind)
    with fits.open(io.BytesIO(content), disable_image_compression=True) as hdus:
        for ours, theirs in zip(scanned(content).hdus, hdus, strict=True):
            values = {
                card.keyword: card.value
                for card in reversed(theirs.header.cards)
                if card.keyword not in {"", "COMMENT", "HISTORY"} and not isinstance(card.value, fits.card.Undefined)
            }
            assert dict(ours.keywords) == values


@pytest.mark.parametrize("kind", sorted(set(MAKERS) - {"no data"}))
def test_flips_in_the_data_are_seen_as_astropy_sees_them(kind: str) -> None:
    content = made(kind)
    for hdu in scanned(content).hdus:
        for position in range(hdu.offset + hdu.header_bytes, hdu.offset + hdu.header_bytes + hdu.data_bytes, 997):
            flipped = bytearray(content)
            flipped[position] ^= 1 << position % 8
            assert by_us(bytes(flipped)) == by_astropy(bytes(flipped))
            assert [defect.kind for defect in scanned(bytes(flipped)).defects] == [DefectKind.CORRUPT]


def test_files_of_protozfits_are_those_of_astropy(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("night")
    for spec in night_specs(3, telescopes=1, megabytes=0.5):
        content = write_dl0(spec, root).path.read_bytes()
        assert by_us(content) == by_astropy(content)


def edited(content: bytes, old: bytes, new: bytes) -> FileFacts:
    assert len(old) == len(new)
    assert old in content
    return scanned(content.replace(old, new, 1))


def test_junk_in_the_padding_of_a_header_is_bad() -> None:
    # astropy writes the header anew before it sums it up, and so does not see this.
    content = bytearray(made("bytes"))
    assert content[2879] == 32
    content[2879] ^= 1
    assert scanned(bytes(content)).hdus[0].checksum is SumStatus.BAD


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"'0'", SumStatus.OK),
        (b"0", SumStatus.OK),
        (b"'         0'", SumStatus.OK),
        (b"'+0'", SumStatus.OK),
        (b"'4294967295'", SumStatus.BAD),
        (b"'4294967296'", SumStatus.BAD),
        (b"'-0'", SumStatus.BAD),
        (b"'none'", SumStatus.BAD),
        (b"F", SumStatus.BAD),
        (b"'0", SumStatus.BAD),
        (b"''", SumStatus.ABSENT),
        (b"'     '", SumStatus.ABSENT),
        (b"", SumStatus.ABSENT),
    ],
)
def test_the_value_of_a_datasum_card(value: bytes, status: SumStatus) -> None:
    content = made("zeros", "datasum")
    start = content.index(b"DATASUM =")
    changed = content[: start + 10] + value.ljust(70) + content[start + 80 :]
    assert scanned(changed).hdus[0].datasum is status


def test_data_of_all_ones_do_not_sum_up_to_nothing() -> None:
    content = made("all ones", "datasum")
    assert b"4294967295" in content
    start = content.index(b"DATASUM =")
    changed = content[: start + 10] + b"'0'".ljust(70) + content[start + 80 :]
    assert scanned(changed).hdus[0].datasum is SumStatus.BAD


def test_a_checksum_without_a_datasum_is_checked_and_the_other_is_absent() -> None:
    # The keyword changes places with blanks behind END, which moves no sum. astropy takes an absent DATASUM as 0.
    content = made("bytes")
    start = content.index(b"DATASUM ")
    facts = scanned(content[:start] + b" " * 8 + content[start + 8 : 2872] + b"DATASUM " + content[2880:])
    assert (facts.hdus[0].checksum, facts.hdus[0].datasum) == (SumStatus.OK, SumStatus.ABSENT)


def test_a_blank_checksum_is_absent() -> None:
    content = made("bytes")
    start = content.index(b"CHECKSUM=")
    facts = scanned(content[: start + 10] + b"''".ljust(70) + content[start + 80 :])
    assert facts.hdus[0].checksum is SumStatus.ABSENT


def test_the_first_of_two_equal_keywords_counts() -> None:
    content = made("long cards")
    facts = edited(content, b"KEY11   =", b"KEY10   =")
    assert facts.hdus[0].keywords["KEY10"] == 10


def test_trailing_bytes_behind_a_plain_fits_file_are_counted_and_no_defect() -> None:
    facts = scanned(made("bytes") + b"\0" * 2880)
    assert (facts.trailing_bytes, facts.defects) == (2880, ())


def test_a_last_part_without_its_padding_is_truncated() -> None:
    content = made("bytes")
    assert content.endswith(b"\0" * 2879)
    assert [defect.kind for defect in scanned(content[:-100]).defects] == [DefectKind.TRUNCATED]
