"""The disagreements between readers of FITS that we accept: one table, each row pinned by a test.

A difference that no row explains fails `test_differential.py`; a row whose disagreement ceases fails `test_pinned.py`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.integrity.cards import parse_header
from ctao_bdms.model import SumStatus
from tests.differential.writing import BLOCK, CARD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.differential.comparing import Difference

__all__ = ["DISAGREEMENTS", "Disagreement", "explain"]

_GZIP = b"\x1f\x8b"
_ILLEGAL_IN_KEYWORD = re.compile(rb"[^A-Z0-9_\- ]")


@attrs.frozen(kw_only=True)
class Disagreement:
    """A situation in which readers differ, and why we accept it."""

    key: str
    reader: str
    situation: str
    ours: str
    theirs: str
    reason: str
    applies: Callable[[Difference], bool] = attrs.field(repr=False)


def explain(difference: Difference) -> Disagreement | None:
    """Return the row of the table that explains a difference, None if there is none."""
    rows = (row for row in DISAGREEMENTS if row.reader == difference.reader)
    return next((row for row in rows if row.applies(difference)), None)


def _theirs(difference: Difference, text: str) -> bool:
    return difference.theirs.failure.startswith(text)


def _cards(difference: Difference) -> list[bytes]:
    """Return the cards of the part up to END."""
    header = difference.header
    cards = [header[start : start + CARD] for start in range(0, len(header), CARD)]
    ends = [number for number, line in enumerate(cards) if line.startswith(b"END     ")]
    return cards[: ends[0]] if ends else cards


def _count(difference: Difference, keyword: bytes) -> int:
    return sum(line.startswith(keyword.ljust(8) + b"=") for line in _cards(difference))


def _sums_absent(difference: Difference) -> bool:
    return all(part.sums == (SumStatus.ABSENT,) * 2 for part in difference.theirs.parts[difference.index :])


def _is_trailing(difference: Difference) -> bool:
    return difference.aspect == "end" and difference.ours.trailing_bytes > 0 and not difference.ours.failure


def _has_gap(difference: Difference) -> bool:
    words = parse_header(difference.header)
    heap, width, rows = (words.get(keyword) for keyword in ("THEAP", "NAXIS1", "NAXIS2"))
    return isinstance(heap, int) and isinstance(width, int) and isinstance(rows, int) and heap > width * rows


def _is_cut(difference: Difference) -> bool:
    return "truncated: " in difference.ours.failure


DISAGREEMENTS = (
    Disagreement(
        key="gzip",
        reader="cfitsio",
        situation="the whole file is wrapped in gzip",
        ours="not FITS",
        theirs="unwrapped, also by fits_open_diskfile",
        reason="what lies in the archive is what is checked; the bytes are those of another format",
        applies=lambda d: d.content.startswith(_GZIP) and d.aspect == "more" and d.index == 0,
    ),
    Disagreement(
        key="trailing",
        reader="cfitsio",
        situation="bytes that are no part follow the last one",
        ours="counted as trailing bytes; a defect only where the kind of product forbids them",
        theirs="an error (108, 225, 252, ...) when asked for the next part, except for a block of zeros",
        reason="the standard allows special records behind the last part",
        applies=lambda d: _is_trailing(d) and _theirs(d, "cfitsio "),
    ),
    Disagreement(
        key="heap-gap",
        reader="cfitsio",
        situation="THEAP leaves a gap between table and heap",
        ours="data are NAXIS1 x NAXIS2 + PCOUNT bytes long",
        theirs="data are THEAP + PCOUNT bytes long: the gap counts twice",
        reason="PCOUNT is the size of gap and heap (FITS Standard 4.0, 7.3.1)",
        applies=lambda d: d.aspect in {"place", "fewer", "end"} and _has_gap(d),
    ),
    Disagreement(
        key="cut-without-sums",
        reader="cfitsio",
        situation="the file ends within the data of a last part without sums",
        ours="truncated",
        theirs="no word: data are not read if there is nothing to compare",
        reason="a file shorter than its own headers say is not whole",
        applies=lambda d: d.aspect == "more" and _is_cut(d) and _sums_absent(d) and not d.theirs.failure,
    ),
    Disagreement(
        key="cut-behind-header",
        reader="cfitsio",
        situation="the file ends exactly behind the last header, before its data",
        ours="truncated",
        theirs="the part is not seen",
        reason="a file shorter than its own headers say is not whole",
        applies=lambda d: d.aspect == "end" and _is_cut(d) and len(d.content) % BLOCK == 0,
    ),
    Disagreement(
        key="double-sum-card",
        reader="cfitsio",
        situation="a header holds two DATASUM (or CHECKSUM) cards",
        ours="the first counts",
        theirs="the search for DATASUM begins behind CHECKSUM: whichever comes next counts",
        reason="one rule for all keywords",
        applies=lambda d: (
            d.aspect in {"datasum", "checksum"} and max(_count(d, b"DATASUM"), _count(d, b"CHECKSUM")) > 1
        ),
    ),
    Disagreement(
        key="datasum-tail",
        reader="cfitsio",
        situation="other characters follow the number in DATASUM, or it is written as a float",
        ours="bad: DATASUM is an unsigned whole number",
        theirs="reads as C's atof does, up to the first character that is of no number",
        reason="a card that does not say what the standard asks for is damaged",
        applies=lambda d: (
            d.aspect == "datasum"
            and re.fullmatch(r"\+?[0-9]+", str(parse_header(d.header).get("DATASUM")).strip()) is None
        ),
    ),
    Disagreement(
        key="keyword-characters",
        reader="cfitsio",
        situation="a keyword of the primary holds printable characters that the standard does not allow",
        ours="read on",
        theirs="error 207",
        reason="lower-case keywords occur, and move no byte of data",
        applies=lambda d: (
            _theirs(d, "cfitsio 207") and any(_ILLEGAL_IN_KEYWORD.search(line[:8]) for line in _cards(d))
        ),
    ),
)
