"""Random damage to the bytes of a file."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from tests.differential.writing import BLOCK, CARD, card

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["MUTATIONS", "mutated"]


def mutated(chance: random.Random, content: bytes) -> tuple[str, bytes]:
    """Return what was done in words, and the bytes after it; two files of five are left as they are."""
    words = [chance.choice(sorted(MUTATIONS)) for _ in range(chance.choice((0, 0, 1, 1, 1, 2)))]
    for word in words:
        content = MUTATIONS[word](chance, content)
    return " then ".join(words) or "as it is", content


def _place(chance: random.Random, content: bytes) -> int:
    """Return a position: as often in the first header as anywhere."""
    return chance.randrange(max(1, len(content) if chance.random() < 0.6 else min(len(content), BLOCK)))


def _bit_flip(chance: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    if changed:
        changed[_place(chance, content)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _header_flip(chance: random.Random, content: bytes) -> bytes:
    """Flip a bit in one of the cards that say how long a part is."""
    words = (
        b"SIMPLE",
        b"XTENSION",
        b"BITPIX",
        b"NAXIS",
        b"PCOUNT",
        b"GCOUNT",
        b"GROUPS",
        b"CHECKSUM",
        b"DATASUM",
        b"END ",
    )
    start = content.find(chance.choice(words), _place(chance, content))
    if start < 0:
        return _bit_flip(chance, content)
    place = start + chance.randrange(30)
    return (
        content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
        if (place < len(content))
        else content
    )


def _new_digit(chance: random.Random, content: bytes) -> bytes:
    """Replace a digit of a number in a header by another character that is likely in one."""
    places = [place for place in range(min(len(content), 2 * BLOCK)) if content[place : place + 1].isdigit()]
    if not places:
        return content
    place = chance.choice(places)
    return content[:place] + chance.choice((b"0", b"1", b"9", b"-", b" ", b".", b"E", b"'")) + content[place + 1 :]


def _cut(chance: random.Random, content: bytes) -> bytes:
    return content[: _place(chance, content)]


def _cut_at_block(chance: random.Random, content: bytes) -> bytes:
    return content[: _place(chance, content) // BLOCK * BLOCK]


def _cut_at_card(chance: random.Random, content: bytes) -> bytes:
    return content[: _place(chance, content) // CARD * CARD]


def _cut_at_border(chance: random.Random, content: bytes) -> bytes:
    starts = [start for start in range(0, len(content), BLOCK) if content.startswith(b"XTENSION", start)]
    return content[: chance.choice(starts)] if starts else _cut_at_block(chance, content)


def _swap(unit: int) -> Callable[[random.Random, bytes], bytes]:
    def swapped(chance: random.Random, content: bytes) -> bytes:
        units = [content[start : start + unit] for start in range(0, len(content), unit)]
        if len(units) > 1:
            one, other = chance.sample(range(len(units)), 2)
            units[one], units[other] = units[other], units[one]
        return b"".join(units)

    return swapped


def _insert(chance: random.Random, content: bytes) -> bytes:
    place = _place(chance, content)
    return content[:place] + chance.randbytes(chance.choice((1, 4, 80, 2880))) + content[place:]


def _remove(chance: random.Random, content: bytes) -> bytes:
    place = _place(chance, content)
    return content[:place] + content[place + chance.choice((1, 4, 80, 2880)) :]


def _overwrite(chance: random.Random, content: bytes) -> bytes:
    place, length = _place(chance, content), chance.choice((1, 4, 80, 500))
    return (
        content[:place]
        + chance.choice((chance.randbytes(length), b"\0" * length, b" " * length))
        + content[place + length :]
    )


def _junk_behind_end(chance: random.Random, content: bytes) -> bytes:
    """Write something into the padding of a header."""
    ends = [place for place in range(0, len(content), CARD) if content.startswith(b"END     ", place)]
    spaces = [place + CARD for place in ends if (place + CARD) % BLOCK]
    if not spaces:
        return content
    place = chance.choice(spaces)
    return content[:place] + chance.choice((b"x", b"\0", b"JUNK    = 5", b"END     ")) + content[place + 11 :]


def _junk_in_last_padding(chance: random.Random, content: bytes) -> bytes:
    return content[:-1] + chance.randbytes(1)


def _second_card(chance: random.Random, content: bytes) -> bytes:
    """Write a second card of a keyword in front of END, where the padding has room for it."""
    end = content.find(b"END".ljust(CARD))
    if end < 0 or end % CARD or not (end + CARD) % BLOCK:
        return content
    keyword = chance.choice(("NAXIS", "NAXIS1", "BITPIX", "PCOUNT", "GCOUNT", "DATASUM", "CHECKSUM", "EXTNAME", "END"))
    value: object = chance.choice((5, "5", "0" * 16))
    line = card(keyword, value).encode("ascii")
    return content[:end] + line + b"END".ljust(CARD) + content[end + 2 * CARD :]


MUTATIONS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "bit flip": _bit_flip,
    "bit flip ": _bit_flip,
    "bit flip in a header": _header_flip,
    "bit flip in a header ": _header_flip,
    "new digit": _new_digit,
    "cut": _cut,
    "cut at a block": _cut_at_block,
    "cut at a card": _cut_at_card,
    "cut at a border": _cut_at_border,
    "words swapped": _swap(4),
    "cards swapped": _swap(CARD),
    "blocks swapped": _swap(BLOCK),
    "inserted": _insert,
    "removed": _remove,
    "overwritten": _overwrite,
    "junk behind END": _junk_behind_end,
    "junk in the last padding": _junk_in_last_padding,
    "second card": _second_card,
    "trailing bytes": lambda chance, content: content + chance.randbytes(chance.randint(1, 3000)),
    "trailing zero block": lambda _, content: content + b"\0" * BLOCK,
    "trailing END block": lambda _, content: content + b"END".ljust(BLOCK),
    "trailing blanks": lambda chance, content: content + b" " * chance.randint(1, 2 * BLOCK),
    "file behind file": lambda _, content: content + content,
    "empty": lambda _, content: content[:0],
    "text": lambda _, content: b"The quick brown fox jumps over the lazy dog.\n" * 100 + content[:0],
    "gzip": lambda _, content: gzip.compress(content, mtime=0),
}
