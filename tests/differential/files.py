"""Random files that are FITS, each made again from its seed and number: every kind of part, by bytes and by astropy."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from tests.differential.writing import Sums, card, hdu, long_text

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["good_file"]

_BITPIX = (8, 16, 32, 64, -32, -64)
_SMALL, _LARGE = 400, 9000


def good_file(chance: random.Random) -> tuple[str, bytes]:
    """Return a recipe in words and the bytes of a random file without a fault."""
    if chance.random() < 0.25:
        return _by_astropy(chance)
    names, parts = [], []
    for number in range(chance.choice((1, 1, 2, 2, 3, 5))):
        maker = chance.choice(_PRIMARIES if number == 0 else _EXTENSIONS)
        cards, data, fill = maker(chance)
        word, sums = chance.choice(_SUMS)(chance)
        extra_words, extra = _odd_cards(chance)
        names.append("+".join([maker.__name__.strip("_"), word, *extra_words]))
        parts.append(hdu([*cards, *extra], data, sums, fill=fill))
    return " ".join(names), b"".join(parts)


# What a part is: its mandatory cards, its data, and what fills the last block.

Made = tuple[list[str], bytes, bytes]


def _image(chance: random.Random, first: str, axes: int | None = None) -> tuple[list[str], bytes]:
    bits = chance.choice(_BITPIX)
    axes = chance.randint(1, 4) if axes is None else axes
    lengths = [chance.choice((0, 1, 2, 3, 7, 30)) for _ in range(axes)]
    if axes and chance.random() < 0.8:
        lengths = [length or 1 for length in lengths]
    words = int(np.prod(lengths)) if axes else 0
    cards = [first, card("BITPIX", bits), card("NAXIS", axes)]
    cards += [card(f"NAXIS{number}", length) for number, length in enumerate(lengths, 1)]
    return cards, _filled(chance, words * abs(bits) // 8)


def _filled(chance: random.Random, size: int) -> bytes:
    """Return data: random bytes, or what is nothing to a ones' complement sum."""
    return chance.choice((chance.randbytes, chance.randbytes, chance.randbytes, bytes, _ones))(size)


def _ones(size: int) -> bytes:
    return b"\xff" * size


def _primary_image(chance: random.Random) -> Made:
    cards, data = _image(chance, card("SIMPLE", True))
    return [*cards, *_extend(chance)], data, b"\0"


def _extend(chance: random.Random) -> list[str]:
    return [card("EXTEND", True)] if chance.random() < 0.8 else []


def _primary_empty(chance: random.Random) -> Made:
    cards, _ = _image(chance, card("SIMPLE", True), 0)
    return [*cards, *_extend(chance)], b"", b"\0"


def _random_groups(chance: random.Random) -> Made:
    bits, groups, parameters = chance.choice(_BITPIX), chance.randint(1, 20), chance.randint(0, 4)
    lengths = [chance.randint(1, 6) for _ in range(chance.randint(1, 3))]
    cards = [card("SIMPLE", True), card("BITPIX", bits), card("NAXIS", 1 + len(lengths)), card("NAXIS1", 0)]
    cards += [card(f"NAXIS{number}", length) for number, length in enumerate(lengths, 2)]
    cards += [card("GROUPS", True), card("PCOUNT", parameters), card("GCOUNT", groups)]
    return cards, _filled(chance, groups * (parameters + int(np.prod(lengths))) * abs(bits) // 8), b"\0"


def _extension_image(chance: random.Random) -> Made:
    cards, data = _image(chance, card("XTENSION", "IMAGE"), chance.choice((0, 1, 2, 2, 3)))
    return [*cards, card("PCOUNT", 0), card("GCOUNT", 1), *_name(chance)], data, b"\0"


def _text_table(chance: random.Random) -> Made:
    rows, width = chance.choice((0, 1, 5, 300)), chance.randint(3, 40)
    cards = [card("XTENSION", "TABLE"), card("BITPIX", 8), card("NAXIS", 2), card("NAXIS1", width)]
    cards += [card("NAXIS2", rows), card("PCOUNT", 0), card("GCOUNT", 1), card("TFIELDS", 1)]
    cards += [card("TBCOL1", 1), card("TFORM1", f"A{width}"), card("TTYPE1", "text"), *_name(chance)]
    return cards, bytes(chance.choices(range(32, 127), k=rows * width)), b" "


def _binary_table(chance: random.Random) -> Made:
    rows, width = chance.choice((0, 1, 5, 300)), chance.randint(1, 40)
    cards = _table_cards(rows, width, 0)
    return (
        [*cards, card("TFORM1", f"{width}B"), card("TTYPE1", "raw"), *_name(chance)],
        _filled(chance, rows * width),
        b"\0",
    )


def _table_cards(rows: int, width: int, heap: int) -> list[str]:
    values = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": width, "NAXIS2": rows, "PCOUNT": heap, "GCOUNT": 1, "TFIELDS": 1}
    return [card("XTENSION", "BINTABLE"), *[card(keyword, value) for keyword, value in values.items()]]


def _table_with_heap(chance: random.Random) -> Made:
    """Arrays of bytes in a heap, behind a gap of random length that THEAP announces."""
    lengths = [chance.randint(0, 60) for _ in range(chance.choice((0, 1, 8, 50)))]
    gap = chance.choice((0, 0, 0, 0, 1, 17, 2880))
    start, rows = 0, b""
    for length in lengths:
        rows += length.to_bytes(4, "big") + start.to_bytes(4, "big")
        start += length
    cards = _table_cards(len(lengths), 8, gap + start)
    cards += [card("TFORM1", f"1PB({max(lengths, default=0)})"), card("TTYPE1", "trace")]
    cards += [card("THEAP", len(rows) + gap)] if gap or chance.random() < 0.5 else []
    return [*cards, *_name(chance)], rows + chance.randbytes(gap) + _filled(chance, start), b"\0"


def _foreign_extension(chance: random.Random) -> Made:
    """A kind of extension that no reader knows, with groups and parameters."""
    groups, parameters, length = chance.randint(1, 5), chance.randint(0, 50), chance.randint(1, 99)
    cards = [card("XTENSION", chance.choice(("DUMP", "FOREIGN", "CTAORAW"))), card("BITPIX", 16), card("NAXIS", 1)]
    cards += [card("NAXIS1", length), card("PCOUNT", parameters), card("GCOUNT", groups), *_name(chance)]
    return cards, _filled(chance, 2 * groups * (parameters + length)), b"\0"


def _name(chance: random.Random) -> list[str]:
    return [card("EXTNAME", chance.choice(("Events", "it's", "X" * 60, "")))] if chance.random() < 0.7 else []


_PRIMARIES: tuple[Callable[[random.Random], Made], ...] = (
    _primary_image,
    _primary_image,
    _primary_empty,
    _random_groups,
)
_EXTENSIONS: tuple[Callable[[random.Random], Made], ...] = (
    _extension_image,
    _text_table,
    _binary_table,
    _table_with_heap,
    _table_with_heap,
    _foreign_extension,
)

# Which sums it carries.

_SUMS: tuple[Callable[[random.Random], tuple[str, Sums]], ...] = (
    *[lambda _: ("both", Sums())] * 5,
    lambda _: ("none", Sums(datasum=False, checksum=False)),
    lambda _: ("datasum", Sums(checksum=False)),
    lambda _: ("checksum", Sums(datasum=False)),
    lambda _: ("blank-checksum", Sums(checksum_text="")),
    lambda _: ("blank-datasum", Sums(datasum_text=" " * 8)),
    lambda _: ("blank-both", Sums(checksum_text=" ", datasum_text="")),
    lambda _: ("zero-checksum", Sums(checksum_text="0" * 16)),
    lambda chance: ("wrong-datasum", Sums(datasum_text=str(chance.randrange(1 << 32)))),
    lambda _: ("other-letters", Sums(shift=True)),
    lambda _: ("comment", Sums(comment="made for a test")),
)


# Cards that are odd, and allowed.


def _odd_cards(chance: random.Random) -> tuple[list[str], list[str]]:
    words = chance.sample(sorted(_ODD), chance.choice((0, 0, 1, 2, 4)))
    return words, [line[:80].ljust(80) for word in words for line in _ODD[word](chance)]


_ODD: dict[str, Callable[[random.Random], list[str]]] = {
    "comments": lambda _: ["COMMENT a = b / c", "HISTORY 'it", "", "        = 5", "COMMENT"],
    "hierarch": lambda _: ["HIERARCH CTA PRODUCT ID = 'abc' / an id", "HIERARCH eso a.b = 7"],
    "continue": lambda chance: long_text("LONGTEXT", "it's " * chance.randint(1, 80)),
    "empty-continue": lambda _: ["LONGTEXT= 'abc&'", "CONTINUE  '&'", "CONTINUE  '' / end"],
    "free-format": lambda _: ["FREE    =   7/x", "FREESTR =  'x'  /y", "LOGICAL = F", "FLOAT   = -1.5D-3"],
    "no-value": lambda _: ["UNDEF   =", "UNDEF2  =                      / nothing"],
    "duplicate": lambda _: [card("TWICE", 1), card("TWICE", 2), card("TWICE", "x")],
    "no-equals": lambda _: ["WORDS   nothing here", "ENDING  = 5", "MYEND   =                    T"],
    "end-in-value": lambda _: ["TEXT    = 'END     '", "COMMENT END     ", "        END     "],
    "many": lambda chance: [card(f"KEY{number}", number) for number in range(chance.randint(30, 90))],
    "blank-cards": lambda chance: [""] * chance.randint(1, 80),
    "complex": lambda _: ["COMPLEX = (1.0, -2.0)", "COMPINT = (3, 4) / pair"],
    "quotes": lambda _: ["QUOTES  = 'it''s ''so'''", "SLASH   = 'a/b' / c / d", "EMPTY   = ''"],
    "numbers": lambda _: ["BIGINT  = 123456789012345678901234567890", "NEG     = -0", "PLUS    = +5", "DOT     = 5."],
    "sum-words": lambda _: ["COMMENT CHECKSUM= 'x'", "CHECKSU = 'no'", "DATASUMS= '5'"],
}


# By astropy.


def _by_astropy(chance: random.Random) -> tuple[str, bytes]:
    numbers = np.random.default_rng(chance.randrange(1 << 32))
    names = [chance.choice(sorted(_ASTROPY)) for _ in range(chance.randint(1, 3))]
    parts: list[fits.hdu.base._BaseHDU] = [fits.PrimaryHDU(numbers.integers(-9, 9, chance.choice((0, 7, 99))))]
    parts += [_ASTROPY[name](chance, numbers) for name in names]
    sums = chance.choice(("both", "both", "both", "none", "datasum"))
    stream, again = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList(parts).writeto(stream)
        # The sums are added to what was written, for there they can be given a comment other than the time.
        stream.seek(0)
        with fits.open(stream, disable_image_compression=True) as hdus:
            for hdu in hdus:
                if sums == "both":
                    hdu.add_checksum(when="made for a test")
                elif sums == "datasum":
                    hdu.add_datasum(when="made for a test")
            hdus.writeto(again)
    return f"astropy: {' '.join(names)} sums={sums}", again.getvalue()


def _compressed(chance: random.Random, numbers: np.random.Generator) -> fits.CompImageHDU:
    # Not GZIP_1 and GZIP_2, which write the time of day into each tile.
    kind = chance.choice(("RICE_1", "PLIO_1", "HCOMPRESS_1"))
    values = numbers.integers(0, 99, (4 * chance.randint(1, 10), 4 * chance.randint(1, 10))).astype("i2")
    return fits.CompImageHDU(values, name="ZIMG", compression_type=kind)


def _table(chance: random.Random, numbers: np.random.Generator) -> fits.BinTableHDU:
    rows = chance.choice((0, 1, 57))
    traces = np.empty(rows, dtype=object)
    for row in range(rows):
        traces[row] = np.arange(row % 5, dtype="i2")
    columns = [
        fits.Column("time", "D", array=numbers.random(rows)),
        fits.Column("flag", "L", array=numbers.random(rows) > 0.5),
        fits.Column("bits", "11X", array=numbers.random((rows, 11)) > 0.5),
        fits.Column("name", "7A", array=np.array(["x"] * rows)),
        fits.Column("trace", "PI()", array=traces),
    ]
    return fits.BinTableHDU.from_columns(columns, name="EVENTS", nrows=rows)


def _text(chance: random.Random, numbers: np.random.Generator) -> fits.TableHDU:
    rows = chance.choice((1, 9, 400))
    return fits.TableHDU.from_columns([fits.Column("a", "I6", array=numbers.integers(0, 999, rows))])


def _unsigned(chance: random.Random, numbers: np.random.Generator) -> fits.ImageHDU:
    kind = chance.choice(("u2", "u4", "u8", "i1"))
    hdu = fits.ImageHDU(numbers.integers(0, 99, chance.randint(1, _SMALL)).astype(kind), name="U")
    hdu.header["LONGTEXT"] = "it's " * 40
    hdu.header["HIERARCH CTA PRODUCT ID"] = "abc"
    return hdu


def _floats(chance: random.Random, numbers: np.random.Generator) -> fits.ImageHDU:
    return fits.ImageHDU(numbers.random(chance.randint(1, _LARGE // 8)).astype(chance.choice(("f4", "f8"))))


_ASTROPY: dict[str, Callable[[random.Random, np.random.Generator], fits.hdu.base._BaseHDU]] = {
    "compressed": _compressed,
    "table": _table,
    "text": _text,
    "unsigned": _unsigned,
    "floats": _floats,
}
