"""The disagreements between readers of FITS that we accept: one table, each row pinned by a test.

A difference that no row explains fails `test_differential.py`; a row whose disagreement ceases fails `test_pinned.py`.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable

import attrs
from astropy.io import fits

from ctao_bdms.integrity.cards import parse_header
from ctao_bdms.model import SumStatus
from tests.differential.comparing import Difference
from tests.differential.writing import CARD, encoded, total

__all__ = ["DISAGREEMENTS", "Disagreement", "explain"]

_MANDATORY = (b"BITPIX", b"NAXIS", b"NAXIS1", b"PCOUNT", b"GCOUNT")
_GZIP = b"\x1f\x8b"


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
    return all(part.datasum is SumStatus.ABSENT for part in difference.theirs.parts[difference.index :])


def _is_trailing(difference: Difference) -> bool:
    return difference.aspect == "end" and difference.ours.trailing_bytes > 0 and not difference.ours.failure


def _has_gap(difference: Difference) -> bool:
    words = parse_header(difference.header)
    heap, width, rows = (words.get(keyword) for keyword in ("THEAP", "NAXIS1", "NAXIS2"))
    return isinstance(heap, int) and isinstance(width, int) and isinstance(rows, int) and heap > width * rows


def _is_cut(difference: Difference) -> bool:
    return "truncated: " in difference.ours.failure


def _is_blank(difference: Difference, keyword: str) -> bool:
    value = parse_header(difference.header).get(keyword)
    return value is not None and not str(value).strip()


def _is_rewritten(difference: Difference) -> bool:
    """Say whether astropy sums up another header than the one in the file."""
    part = difference.ours.parts[difference.index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(difference.content), disable_image_compression=True) as hdus:
            header = hdus[difference.index].header.copy()
            before = header.get("CHECKSUM", "")
            header["CHECKSUM"] = "0" * 16
            written = header.tostring().encode("utf8")
    zeros = difference.header.replace(str(before).encode("utf8"), b"0" * len(str(before)), 1)
    return len(written) != part.header_bytes or written != zeros


def _has_other_letters(difference: Difference) -> bool:
    """Say whether CHECKSUM is another text than the standard's way of encoding would give, with the same sum."""
    text = str(parse_header(difference.header).get("CHECKSUM"))
    part = difference.ours.parts[difference.index]
    data = difference.content[part.offset + part.header_bytes :][: part.data_bytes]
    header = difference.header.replace(text.encode("latin-1"), b"0" * 16, 1)
    return text != encoded(total(header + data) ^ 0xFFFFFFFF)


def _has_no_clean_end(difference: Difference) -> bool:
    """Say whether END with its blanks is not among the cards that we, or the other one, take for the header."""
    views = [view for view in (difference.ours, difference.theirs) if difference.index < len(view.parts)]
    length = max((view.parts[difference.index].header_bytes for view in views), default=0)
    header = difference.content[difference.rest :][: length or len(difference.content)]
    cards = [header[start : start + CARD] for start in range(0, len(header), CARD)]
    return bool(cards) and sum(line == b"END".ljust(CARD) for line in cards) != sum(
        line[:2] == b"EN" or line[1:3] == b"ND" or line[:3:2] == b"ED" for line in cards
    )


def _is_refused_by_astropy(difference: Difference) -> bool:
    """Say whether astropy cannot read a card of the header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for line in _cards(difference):
                str(fits.Card.fromstring(line).value)
        except Exception:  # noqa: BLE001 - whatever it is
            return True
    odd = any(line.startswith(b"CONTINUE") or not line.isascii() for line in _cards(difference))
    return odd or _has_junk(difference)


def _has_junk(difference: Difference) -> bool:
    """Say whether a logical value is not one."""
    words = parse_header(difference.header)
    return any(not isinstance(words.get(word, True), bool) for word in ("SIMPLE", "EXTEND", "GROUPS"))


def _is_wrong_only_for_astropy(difference: Difference) -> bool:
    ours, theirs = difference.ours.parts[difference.index], difference.theirs.parts[difference.index]
    return ours.checksum is SumStatus.OK and theirs.checksum is SumStatus.BAD


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
        situation="the file ends within the data of a last part without DATASUM",
        ours="truncated",
        theirs="no word: data are not read if there is nothing to compare",
        reason="a file shorter than its own headers say is not whole",
        applies=lambda d: d.aspect == "more" and _is_cut(d) and _sums_absent(d) and not d.theirs.failure,
    ),
    Disagreement(
        key="cut-behind-header",
        reader="cfitsio",
        situation="the file ends within the last header, or exactly behind it, before its data",
        ours="truncated",
        theirs="the part is not seen",
        reason="a file shorter than its own headers say is not whole",
        applies=lambda d: d.aspect == "end" and _is_cut(d),
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
        key="illegible-keyword",
        reader="cfitsio",
        situation="bytes that are no ASCII text stand where a keyword, not a mandatory one, should",
        ours="corrupt",
        theirs="read on",
        reason="what is no header is damage, also where no sum says so",
        applies=lambda d: d.aspect == "end" and "has no keyword, but bytes" in d.ours.failure,
    ),
    Disagreement(
        key="mandatory-without-value",
        reader="cfitsio",
        situation="a mandatory card of random groups is absent or has no value",
        ours="corrupt: the length of the data is not known",
        theirs="taken as 0 or 1",
        reason="a guess at a length is no proof",
        applies=lambda d: d.aspect in {"more", "place"} and "but must be a whole number" in d.ours.failure,
    ),
    Disagreement(
        key="double-mandatory",
        reader="cfitsio",
        situation="a mandatory keyword stands twice in a header, or in one that needs none, with another value",
        ours="the first counts, if the header needs it",
        theirs="in a primary header and an image the last counts: error 407, or another length",
        reason="one rule for all keywords",
        applies=lambda d: max(_count(d, word) for word in _MANDATORY) > 1 or _theirs(d, "cfitsio 407"),
    ),
    Disagreement(
        key="no-simple",
        reader="cfitsio",
        situation="the file begins with XTENSION",
        ours="not FITS",
        theirs="read as a file whose first part is an extension",
        reason="a file without its first part is not whole",
        applies=lambda d: d.content.startswith(b"XTENSION") and d.index == 0,
    ),
    Disagreement(
        key="sum-without-value",
        reader="cfitsio",
        situation="CHECKSUM or DATASUM has no value, not even an empty one",
        ours="absent",
        theirs="error 204, 205",
        reason="absent is not valid: such a part is not called checked",
        applies=lambda d: _theirs(d, "cfitsio 204") or _theirs(d, "cfitsio 205"),
    ),
    Disagreement(
        key="illegible-equals",
        reader="cfitsio",
        situation="a byte that is no ASCII text stands in the place of = behind a keyword of eight letters",
        ours="a card without a value: a CHECKSUM is absent",
        theirs="error 207: taken for a keyword of nine letters",
        reason="absent is not valid: such a part is not called checked",
        applies=lambda d: (
            _theirs(d, "cfitsio 207")
            and any(line[8] > 126 and re.fullmatch(rb"[A-Z0-9_-]{8}", line[:8]) is not None for line in _cards(d))
        ),
    ),
    Disagreement(
        key="gzip",
        reader="astropy",
        situation="the whole file is wrapped in gzip",
        ours="not FITS",
        theirs="unwrapped",
        reason="what lies in the archive is what is checked; the bytes are those of another format",
        applies=lambda d: d.content.startswith(_GZIP) and d.aspect == "more" and d.index == 0,
    ),
    Disagreement(
        key="trailing",
        reader="astropy",
        situation="bytes that are no part follow the last one, e.g. a block with END",
        ours="counted as trailing bytes; a defect only where the kind of product forbids them",
        theirs="AttributeError, or other exceptions",
        reason="the standard allows special records behind the last part",
        applies=lambda d: bool(d.theirs.failure) and d.aspect in {"end", "fewer"} and d.ours.trailing_bytes > 0,
    ),
    Disagreement(
        key="file-behind-file",
        reader="astropy",
        situation="a second file follows the first",
        ours="counted as trailing bytes",
        theirs="its parts are parts of this file",
        reason="SIMPLE begins a file, and parts behind the first begin with XTENSION",
        applies=lambda d: d.aspect == "more" and d.index > 0 and d.content.startswith(b"SIMPLE", d.rest),
    ),
    Disagreement(
        key="blank-datasum",
        reader="astropy",
        situation="the value of DATASUM is blank",
        ours="absent",
        theirs="ValueError",
        reason="the standard: an empty value says that the sum is not known",
        applies=lambda d: d.aspect == "fewer" and _theirs(d, "astropy ValueError") and _is_blank(d, "DATASUM"),
    ),
    Disagreement(
        key="blank-checksum",
        reader="astropy",
        situation="the value of CHECKSUM is blank",
        ours="absent",
        theirs="bad",
        reason="the standard: an empty value says that the sum is not known",
        applies=lambda d: d.aspect == "checksum" and _is_blank(d, "CHECKSUM"),
    ),
    Disagreement(
        key="checksum-alone",
        reader="astropy",
        situation="CHECKSUM without DATASUM",
        ours="compared: it covers header and data",
        theirs="takes the sum of the data to be 0: a sound part is bad, and damage to zeros is overlooked",
        reason="CHECKSUM does not need DATASUM (FITS Standard 4.0, 4.4.2.7)",
        applies=lambda d: d.aspect == "checksum" and not _count(d, b"DATASUM"),
    ),
    Disagreement(
        key="other-letters",
        reader="astropy",
        situation="CHECKSUM is not the text that the standard's encoding gives, but makes the sum right",
        ours="agrees",
        theirs="bad: compares the text",
        reason="the sum is what is to be all ones; the encoding is a recommendation (appendix J)",
        applies=lambda d: d.aspect == "checksum" and _is_wrong_only_for_astropy(d) and _has_other_letters(d),
    ),
    Disagreement(
        key="rewritten-header",
        reader="astropy",
        situation="the header is not written as astropy writes it: junk in its padding, EXTEND absent, ...",
        ours="the bytes of the file are summed up",
        theirs="another header is summed up: damage is overlooked, or a sound file refused",
        reason="the sum is that of the bytes in the file",
        applies=lambda d: d.aspect == "checksum" and _is_rewritten(d),
    ),
    Disagreement(
        key="cut-without-sums",
        reader="astropy",
        situation="the file ends within the data of a last part without DATASUM",
        ours="truncated",
        theirs="no word: data are not read if there is nothing to compare",
        reason="a file shorter than its own headers say is not whole",
        applies=lambda d: d.aspect == "more" and _is_cut(d) and _sums_absent(d) and not d.theirs.failure,
    ),
    Disagreement(
        key="dropped-part",
        reader="astropy",
        situation="the header of a later part is damaged or cut short",
        ours="corrupt or truncated",
        theirs="the part and all behind it are dropped, with a warning at most",
        reason="a part that cannot be read is a defect",
        applies=lambda d: (
            d.aspect in {"end", "fewer"}
            and d.ours.is_bad(d.index)
            and not d.theirs.failure
            and not (d.aspect == "end" and "its card" in d.ours.failure)
        ),
    ),
    Disagreement(
        key="resumed",
        reader="astropy",
        situation="blocks that begin with no XTENSION follow a part, and an END card comes later",
        ours="counted as trailing bytes",
        theirs="taken as the header of a part",
        reason="what is no header tells no length",
        applies=lambda d: d.aspect == "more" and d.ours.trailing_bytes > 0,
    ),
    Disagreement(
        key="mandatory-without-value",
        reader="astropy",
        situation="PCOUNT or GCOUNT of an extension is absent or has no value",
        ours="corrupt: the length of the data is not known",
        theirs="taken as 0 or 1",
        reason="a guess at a length is no proof",
        applies=lambda d: d.aspect in {"more", "place"} and "but must be a whole number" in d.ours.failure,
    ),
    Disagreement(
        key="double-mandatory",
        reader="astropy",
        situation="a mandatory keyword stands twice in a header",
        ours="the first counts",
        theirs="TypeError, or another length",
        reason="one rule for all keywords",
        applies=lambda d: max(_count(d, word) for word in _MANDATORY) > 1,
    ),
    Disagreement(
        key="end-card",
        reader="astropy",
        situation="one bit of END, or of the blanks in its card, is another",
        ours="END and five blanks end the header, nothing else does",
        theirs="needs 77 blanks behind; accepts some wrong characters with a warning",
        reason="as in CFITSIO; the sums tell of the damage",
        applies=lambda d: d.aspect in {"place", "fewer", "end", "more"} and _has_no_clean_end(d),
    ),
    Disagreement(
        key="unparsable-card",
        reader="astropy",
        situation="a card holds junk behind its value or bytes that are no ASCII text, or CONTINUE continues nothing",
        ours="the value is what stands there",
        theirs="an exception, or the part is dropped",
        reason="as in CFITSIO: such a card moves no byte of data; where there is a sum, it tells of the damage",
        applies=lambda d: d.aspect in {"fewer", "end"} and _is_refused_by_astropy(d),
    ),
    Disagreement(
        key="groups-without-axes",
        reader="astropy",
        situation="random groups of NAXIS = 1, which have parameters only",
        ours="the product of no axis is 1",
        theirs="there are no data",
        reason="as in CFITSIO",
        applies=lambda d: (
            d.aspect in {"place", "fewer"} and re.search(rb"NAXIS   = +1 .*GROUPS  = +T", d.header) is not None
        ),
    ),
    Disagreement(
        key="no-data-groups",
        reader="cfitsio",
        situation="NAXIS is 0, and PCOUNT is not",
        ours="there are no data",
        theirs="data are PCOUNT bytes long",
        reason="no axis, no data (FITS Standard 4.0, 4.4.1.1)",
        applies=lambda d: d.aspect == "place" and parse_header(d.header).get("NAXIS") == 0,
    ),
    Disagreement(
        key="columns",
        reader="cfitsio",
        situation="a table lacks a card that describes a column",
        ours="read on: the scan does not look into tables",
        theirs="error 232 and the like",
        reason="what a column holds matters to its reader; its bytes are proven by the sums",
        applies=lambda d: d.aspect == "fewer" and re.match(r"cfitsio (2[2-6]\d)", d.theirs.failure) is not None,
    ),
    Disagreement(
        key="misplaced",
        reader="cfitsio",
        situation="PCOUNT and GCOUNT of an IMAGE extension stand elsewhere than behind the last NAXISn",
        ours="corrupt",
        theirs="read on",
        reason="the standard and all readers of tables demand the order (FITS Standard 4.0, 4.4.1.2)",
        applies=lambda d: (
            d.aspect in {"end", "more"} and re.search(r"its card \d+ must be", d.ours.failure) is not None
        ),
    ),
    Disagreement(
        key="misplaced",
        reader="astropy",
        situation="a mandatory card stands elsewhere than in its place",
        ours="corrupt",
        theirs="read on, with a warning",
        reason="the standard and CFITSIO demand the order (FITS Standard 4.0, 4.4.1)",
        applies=lambda d: (
            d.aspect in {"end", "more"} and re.search(r"its card \d+ must be", d.ours.failure) is not None
        ),
    ),
    Disagreement(
        key="bitpix",
        reader="astropy",
        situation="BITPIX is a number that the standard does not know, e.g. 14",
        ours="corrupt: the length of the data is not known",
        theirs="taken as it is",
        reason="a guess at a length is no proof",
        applies=lambda d: d.aspect in {"more", "place"} and "BITPIX is " in d.ours.failure,
    ),
    Disagreement(
        key="illegible-keyword",
        reader="astropy",
        situation="bytes that are no ASCII text stand where a keyword should",
        ours="corrupt",
        theirs="read on",
        reason="what is no header is damage, also where no sum says so",
        applies=lambda d: "has no keyword, but bytes" in d.ours.failure,
    ),
)
