"""Each accepted disagreement, made on purpose: a row of the table whose disagreement ceases fails here."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from tests.differential.cfitsio import by_cfitsio
from tests.differential.comparing import differences
from tests.differential.disagreements import DISAGREEMENTS, Disagreement, explain
from tests.differential.views import by_astropy, by_us
from tests.differential.writing import BLOCK, CARD, Sums, card, hdu

if TYPE_CHECKING:
    from pathlib import Path

_NONE = Sums(datasum=False, checksum=False)
_ONLY_DATASUM = Sums(checksum=False)


def _image(sums: Sums, *more: str, data: bytes = b"x" * 100) -> bytes:
    cards = [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 1), card("NAXIS1", len(data)), card("EXTEND", True)]
    return hdu([*cards, *more], data, sums)


def _extension(sums: Sums, *more: str, parameters: tuple[str, ...] = (card("PCOUNT", 0), card("GCOUNT", 1))) -> bytes:
    cards = [card("XTENSION", "IMAGE"), card("BITPIX", 8), card("NAXIS", 1), card("NAXIS1", 5), *parameters]
    return hdu([*cards, *more], b"12345", sums)


def _table_with_gap() -> bytes:
    values = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 1, "PCOUNT": 2872, "GCOUNT": 1, "TFIELDS": 1}
    cards = [card("XTENSION", "BINTABLE"), *[card(keyword, value) for keyword, value in values.items()]]
    cards += [card("TFORM1", "1PB(5)"), card("THEAP", 2000)]
    data = (5).to_bytes(4, "big") + bytes(4)
    return hdu(cards, data.ljust(2000, b"g") + b"heap!".ljust(880, b"h"), Sums())


def _table(*columns: str) -> bytes:
    values = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": 5, "NAXIS2": 1, "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": 1}
    cards = [card("XTENSION", "BINTABLE"), *[card(keyword, value) for keyword, value in values.items()]]
    return hdu([*cards, *columns], b"12345", Sums())


def _groups(*parameters: str) -> bytes:
    cards = [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 2), card("NAXIS1", 0), card("NAXIS2", 5)]
    return hdu([*cards, card("GROUPS", True), *parameters], b"12345", _ONLY_DATASUM)


def _edited(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) == 1
    assert len(old) == len(new)
    return content.replace(old, new)


_BOTH = _image(Sums())
_END = b"END".ljust(CARD)
_TRAILING_END = _BOTH + b"END".ljust(BLOCK)
_LOST_PART = _BOTH + _edited(_extension(_NONE), b"BITPIX  =", b"BITQIX  =")

#: Reader and key: the file, and whether we and the other reader call it bad.
PINS: dict[tuple[str, str], tuple[bytes, bool, bool]] = {
    ("cfitsio", "gzip"): (gzip.compress(_BOTH, mtime=0), True, False),
    ("cfitsio", "trailing"): (_TRAILING_END, False, True),
    ("cfitsio", "heap-gap"): (_BOTH + _table_with_gap() + _extension(Sums()), False, True),
    ("cfitsio", "cut-without-sums"): (_image(_NONE)[:-1], True, False),
    ("cfitsio", "cut-behind-header"): (_BOTH + _extension(Sums())[:BLOCK], True, False),
    ("cfitsio", "double-sum-card"): (
        _image(_NONE, card("DATASUM", "0"), card("CHECKSUM", ""), card("DATASUM", "5"), data=bytes(9)),
        False,
        True,
    ),
    ("cfitsio", "datasum-tail"): (_image(Sums(datasum_text="0.0", checksum=False), data=bytes(100)), True, False),
    ("cfitsio", "illegible-keyword"): (_BOTH + _extension(_NONE, card("\xff\xff\xff", 1)), True, False),
    ("cfitsio", "mandatory-without-value"): (_groups("PCOUNT  =".ljust(CARD), card("GCOUNT", 1)), True, False),
    ("cfitsio", "double-mandatory"): (
        _groups(card("PCOUNT", 0), card("GCOUNT", 1), card("PCOUNT", "5")),
        False,
        True,
    ),
    ("cfitsio", "no-simple"): (_table(card("TFORM1", "5B")), True, False),
    ("cfitsio", "sum-without-value"): (_image(_ONLY_DATASUM, "CHECKSUM= / none".ljust(CARD)), False, True),
    ("cfitsio", "illegible-equals"): (
        _BOTH + _edited(_extension(Sums()), b"CHECKSUM=", b"CHECKSUM\xbd"),
        False,
        True,
    ),
    ("astropy", "gzip"): (gzip.compress(_BOTH, mtime=0), True, False),
    ("astropy", "trailing"): (_TRAILING_END, False, True),
    ("astropy", "file-behind-file"): (_BOTH + _BOTH, False, False),
    ("astropy", "blank-datasum"): (_image(Sums(datasum_text="", checksum=False)), False, True),
    ("astropy", "blank-checksum"): (_image(Sums(checksum_text="")), False, True),
    ("astropy", "checksum-alone"): (_image(Sums(datasum=False)), False, True),
    ("astropy", "other-letters"): (_image(Sums(shift=True)), False, True),
    ("astropy", "rewritten-header"): (_BOTH[: BLOCK - 1] + b"x" + _BOTH[BLOCK:], True, False),
    ("astropy", "cut-without-sums"): (_image(_NONE)[:-1], True, False),
    ("astropy", "dropped-part"): (_BOTH + _extension(Sums())[: BLOCK // 2], True, False),
    ("astropy", "resumed"): (_BOTH + b" " * BLOCK + _extension(Sums()), False, True),
    ("astropy", "mandatory-without-value"): (_BOTH + _extension(_NONE, parameters=()), True, False),
    ("astropy", "end-card"): (_edited(_image(_ONLY_DATASUM), _END, b"ENDx".ljust(CARD)), True, False),
    ("astropy", "unparsable-card"): (_edited(_image(_ONLY_DATASUM), b"EXTEND  =    ", b"EXTEND  = x  "), False, True),
    ("astropy", "groups-without-axes"): (
        hdu(
            [
                *(card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 1), card("NAXIS1", 0)),
                *(card("GROUPS", True), card("PCOUNT", 0), card("GCOUNT", 5)),
            ],
            b"12345",
            _ONLY_DATASUM,
        ),
        False,
        True,
    ),
    ("cfitsio", "no-data-groups"): (
        hdu(
            [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 0), card("PCOUNT", 9), card("GCOUNT", 1)],
            b"",
            _NONE,
        ),
        False,
        False,
    ),
    ("cfitsio", "columns"): (_BOTH + _table(), False, True),
    ("cfitsio", "misplaced"): (
        _BOTH + _extension(_NONE, parameters=(card("EXTNAME", "x"), card("PCOUNT", 0), card("GCOUNT", 1))),
        True,
        False,
    ),
    ("astropy", "misplaced"): (
        _BOTH + _extension(_NONE, parameters=(card("EXTNAME", "x"), card("PCOUNT", 0), card("GCOUNT", 1))),
        True,
        False,
    ),
    ("astropy", "bitpix"): (
        _BOTH + _edited(_extension(_NONE), b"BITPIX  =                    8", b"BITPIX  =                   80"),
        True,
        False,
    ),
    ("astropy", "illegible-keyword"): (_BOTH + _extension(_NONE, card("\xff\xff\xff", 1)), True, False),
    ("astropy", "double-mandatory"): (_image(_ONLY_DATASUM, card("BITPIX", "5")), False, True),
}


@pytest.mark.parametrize("row", DISAGREEMENTS, ids=lambda row: f"{row.reader} {row.key}")
def test_the_disagreement_stands(row: Disagreement, tmp_path: Path) -> None:
    content, ours_bad, theirs_bad = PINS[row.reader, row.key]
    path = tmp_path / "x.fits"
    path.write_bytes(content)
    ours, theirs = by_us(content), by_cfitsio(path) if row.reader == "cfitsio" else by_astropy(path)
    found = [explain(difference) for difference in differences(row.reader, content, ours, theirs)]
    assert row in found, (found, ours, theirs)
    assert (ours.is_bad(), theirs.is_bad()) == (ours_bad, theirs_bad), (ours, theirs)


def test_every_row_is_pinned_once() -> None:
    rows = [(row.reader, row.key) for row in DISAGREEMENTS]
    assert len(set(rows)) == len(rows)
    assert set(rows) == set(PINS)


def test_a_sound_file_agrees(tmp_path: Path) -> None:
    for content in (_BOTH, _BOTH + _extension(Sums()), _image(_NONE), _image(_ONLY_DATASUM)):
        path = tmp_path / "x.fits"
        path.write_bytes(content)
        assert by_us(content).failure == ""
        for reader, theirs in (("cfitsio", by_cfitsio(path)), ("astropy", by_astropy(path))):
            assert not list(differences(reader, content, by_us(content), theirs))
