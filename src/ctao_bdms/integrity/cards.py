"""FITS header cards: from the bytes of a header to values by keyword.

Source: FITS Standard 4.0, section 4; long strings by CONTINUE (4.2.1.2); HIERARCH by ESO's convention.
"""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.model.facts import Keyword

__all__ = ["CARD_BYTES", "find_end", "find_illegible", "parse_header"]

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
    """Say whether one of the cards in `block`, a whole number of cards, is END."""
    position = block.find(_END)
    while position % CARD_BYTES and position > 0:
        position = block.find(_END, position + 1)
    return position >= 0


def find_illegible(header: bytes | bytearray) -> int:
    """Return the number (from 1) of the first card whose keyword is not ASCII text, 0 if there is none up to END.

    Such a block of a header is data that strayed there. What stands behind the keyword may be anything, as in CFITSIO:
    there are files with a name in Latin-1 in a comment.
    """
    if not b"".join(header[column::CARD_BYTES] for column in range(8)).translate(None, _TEXT):
        return 0
    for start in range(0, len(header), CARD_BYTES):
        keyword = header[start : start + 8]
        if keyword == _END:
            break
        if keyword.translate(None, _TEXT):
            return start // CARD_BYTES + 1
    return 0


def parse_header(header: bytes | bytearray) -> dict[str, Keyword]:
    """Return the values that stand in a header, up to its END card.

    The first card of a keyword wins. Comments, history and cards without a value are left out. A value that is of no
    FITS type (or a number that no float can hold) is kept as the text that stands there.
    """
    keywords: dict[str, Keyword] = {}
    continued = ""
    for keyword, text in _cards(header.decode("latin-1")):
        if keyword == "CONTINUE":
            more = _value(text)
            before = keywords.get(continued)
            if isinstance(before, str) and before.endswith("&") and isinstance(more, str):
                keywords[continued] = before[:-1] + more
            continue
        continued = ""
        if keyword not in keywords:
            value = _value(text)
            if value is not None:
                keywords[keyword] = value
                continued = keyword
    return keywords


def _cards(header: str) -> Iterator[tuple[str, str]]:
    """Yield keyword and value field of each card that has a value."""
    for start in range(0, len(header), CARD_BYTES):
        card = header[start : start + CARD_BYTES]
        keyword = card[:8].rstrip(" ")
        if keyword == "END":
            return
        if card[8:9] == "=" and keyword:  # the standard demands a blank behind; readers do not
            # Nor are small letters allowed, but a sum whose keyword was damaged by one bit is still to be compared.
            yield keyword.upper(), card[9:]
        elif keyword == "CONTINUE":
            yield keyword, card[8:]
        elif keyword == "HIERARCH" and "=" in card:
            name, _, text = card[8:].partition("=")
            yield name.strip(" "), text


@functools.lru_cache(maxsize=4096)
def _value(field: str) -> Keyword | None:
    """Return the value in a value field, None if there is none."""
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
