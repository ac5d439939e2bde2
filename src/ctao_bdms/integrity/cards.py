"""Parse FITS header cards to values by keyword.

Source: FITS Standard 4.0, section 4; long strings by CONTINUE (4.2.1.2); HIERARCH by ESO's convention.
"""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctao_bdms.model.facts import Keyword

__all__ = ["CARD_BYTES", "find_end", "parse_header", "read_header"]

CARD_BYTES = 80

_END = b"END     "
_TEXT = bytes(range(32, 127))
_VALUE = re.compile(
    r"""\ *(?:
        '(?P<text>(?:[^']|'')*)'
      | (?P<truth>[TF])(?=[ /]|$)
      | (?P<whole>[+-]?[0-9]+)(?=[ /]|$)
      | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[EeDd][+-]?[0-9]+)?)(?=[ /]|$)
      | (?P<other>[^/]*)
    )""",
    re.VERBOSE,
)


def find_end(block: bytes | bytearray) -> bool:
    """Return whether `block`, a whole number of cards, has an END card."""
    return _end(block) >= 0


def _end(header: bytes | bytearray) -> int:
    """Return the offset of the END card, -1 if there is none."""
    position = header.find(_END)
    while position % CARD_BYTES and position > 0:
        position = header.find(_END, position + 1)
    return position


def parse_header(header: bytes | bytearray) -> dict[str, Keyword]:
    """Return the values of a header by keyword, up to its END card.

    The first card of a keyword counts. Comments, history and cards without a value are left out. A value that has no
    FITS type, or a number outside the range of a float, is returned as text.
    """
    return read_header(header)[0]


def read_header(header: bytes | bytearray) -> tuple[dict[str, Keyword], int]:
    """Return the values of a header, and the number of its first illegible card or 0.

    A card is illegible if its keyword is not ASCII text: such a block is misplaced data. As in CFITSIO, the rest of a
    card may be any bytes: there are files with Latin-1 names in comments.
    """
    keywords: dict[str, Keyword] = {}
    continued = ""
    illegible = 0
    image = bytes(header)
    end = _end(image)
    for start in range(0, end if end >= 0 else len(image), CARD_BYTES):
        keyword, value, is_legible = _read(image[start : start + CARD_BYTES])
        if not is_legible:
            illegible = illegible or start // CARD_BYTES + 1
        if not keyword:
            continue
        if keyword == "CONTINUE":
            before = keywords.get(continued)
            if isinstance(before, str) and before.endswith("&") and isinstance(value, str):
                keywords[continued] = before[:-1] + value
            continue
        continued = ""
        if value is not None and keyword not in keywords:
            keywords[keyword] = value
            continued = keyword
    return keywords, illegible


@functools.lru_cache(maxsize=4096)  # the files of one night have most of their cards in common
def _read(image: bytes) -> tuple[str, Keyword | None, bool]:
    """Parse a card: keyword (empty without a value), value, and legibility."""
    is_legible = not image[:8].translate(None, _TEXT)
    card = image.decode("latin-1")
    keyword = card[:8].rstrip(" ")
    if card[8:9] == "=" and keyword:  # the standard requires a blank after it; readers do not
        # Lower case is invalid, but is accepted: one flipped bit in a checksum keyword must not skip the comparison.
        return keyword.upper(), _value(card[9:]), is_legible
    if keyword == "CONTINUE":
        return keyword, _value(card[8:]), is_legible
    name, equals, text = card[8:].partition("=")
    if keyword == "HIERARCH" and equals and name.strip(" "):
        return name.strip(" "), _value(text), is_legible
    return "", None, is_legible


def _value(field: str) -> Keyword | None:
    """Parse a value field; None if it has no value."""
    match = _VALUE.match(field)
    if match is None or match.lastgroup is None:
        return None
    text = match[match.lastgroup]
    if match.lastgroup == "text":
        return text.replace("''", "'").rstrip(" ")
    if match.lastgroup == "truth":
        return text == "T"
    if match.lastgroup == "whole":
        return int(text)
    if match.lastgroup == "number":
        number = float(text.upper().replace("D", "E"))
        return number if math.isfinite(number) else text
    return text.strip(" ") or None
