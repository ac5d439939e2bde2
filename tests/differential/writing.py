"""FITS files by bytes: every card and every padding as one wants it, legal or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.integrity.checksums import Sum32

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BLOCK", "CARD", "Sums", "card", "encoded", "hdu", "long_text", "total"]

BLOCK = 2880
CARD = 80
_ALL_ONES = 0xFFFFFFFF


@attrs.frozen(kw_only=True)
class Sums:
    """Which sums a part carries, and how they are written.

    A text of None stands for a value that is right; `shift` makes a CHECKSUM of other letters with the same sum.
    """

    datasum: bool = True
    checksum: bool = True
    datasum_text: str | None = None
    checksum_text: str | None = None
    shift: bool = False
    comment: str = ""


def total(content: bytes) -> int:
    """Return the ones' complement sum of the 32-bit words in `content`."""
    sum32 = Sum32()
    sum32.update(memoryview(content))
    return sum32.value


def card(keyword: str, value: object = None, comment: str = "") -> str:
    """Return a card of 80 characters in fixed format; a value that is a string is put in quotes."""
    if value is None:
        field = ""
    elif isinstance(value, bool):
        field = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        quoted = value.replace("'", "''")
        field = f"'{quoted:<8}'"
    else:
        field = f"{value:>20}"
    return f"{keyword:<8}= {field}{' / ' + comment if comment else ''}"[:CARD].ljust(CARD)


def long_text(keyword: str, value: str) -> list[str]:
    """Return the cards of a string that goes on in CONTINUE cards."""
    pieces = [value[start : start + 60].replace("'", "''") for start in range(0, len(value), 60)] or [""]
    first = f"{keyword:<8}= '{pieces[0]}{'&' if pieces[1:] else ''}'"
    rest = [
        f"CONTINUE  '{piece}{'&' if number < len(pieces) - 1 else ''}'" for number, piece in enumerate(pieces) if number
    ]
    return [line.ljust(CARD) for line in (first, *rest)]


def encoded(value: int, *, shift: bool = False) -> str:
    """Return 16 characters that add `value` to the sum when they stand one byte past a word's begin (appendix J.2).

    The standard asks for letters and digits; with `shift` a pair of them moves by one, which keeps the sum.
    """
    columns = []
    for byte in value.to_bytes(4, "big"):
        letters = [48 + byte // 4 + byte % 4, *[48 + byte // 4] * 3]
        while not all(chr(letter).isalnum() for letter in letters):
            for pair in (0, 2):
                if not (chr(letters[pair]).isalnum() and chr(letters[pair + 1]).isalnum()):
                    letters[pair] += 1
                    letters[pair + 1] -= 1
        if shift:
            letters[2] += 1
            letters[3] -= 1
        columns.append(letters)
    text = "".join(chr(columns[byte][place]) for place in range(4) for byte in range(4))
    return text[-1:] + text[:-1]


def hdu(cards: Sequence[str], data: bytes = b"", sums: Sums | None = None, *, fill: bytes = b"\0") -> bytes:
    """Return one part: `cards` (without END), the sums that are asked for, END, `data`, and the paddings."""
    sums = sums or Sums(datasum=False, checksum=False)
    data += fill * (-len(data) % BLOCK)
    lines = list(cards)
    if sums.datasum:
        text = sums.datasum_text
        lines.append(card("DATASUM", str(total(data)) if text is None else text, sums.comment))
    place = len(lines)
    if sums.checksum:
        lines.append(card("CHECKSUM", "0" * 16 if sums.checksum_text is None else sums.checksum_text, sums.comment))
    lines.append("END".ljust(CARD))
    header = "".join(lines).encode("latin-1")
    header += b" " * (-len(header) % BLOCK)
    if sums.checksum and sums.checksum_text is None:
        text = encoded(total(header + data) ^ _ALL_ONES, shift=sums.shift)
        start = place * CARD + 11
        header = header[:start] + text.encode("ascii") + header[start + 16 :]
    return header + data
