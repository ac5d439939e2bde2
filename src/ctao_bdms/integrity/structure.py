"""Check that a DL0 product has all its tables.

Checksums verify the HDUs that are present, not that all HDUs are present: a file cut exactly between two HDUs passes
every checksum. So each kind of product lists its required tables, in their order.

Source: files written by ``protozfits`` 2.13 for the DL0v1 data model. PBFHEAD of each table names the message type of
its rows, and every HDU has CHECKSUM and DATASUM, the primary too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import attrs

from ctao_bdms.model import Defect, DefectKind, Flag, SumStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctao_bdms.integrity.hdus import ParsedFits
    from ctao_bdms.model import HduFacts

__all__ = [
    "DL0_KINDS",
    "ProductKind",
    "RequiredTable",
    "Structure",
    "dl0_structure",
    "is_other_compressed",
    "kind_of",
    "plain_structure",
]


@attrs.frozen
class RequiredTable:
    """A table that a product must have.

    Attributes
    ----------
    name
        Its EXTNAME.
    message
        The type of the messages in its rows: PBFHEAD.
    rows
        The required number of rows; None for any number.
    """

    name: str
    message: str
    rows: int | None = None


@attrs.frozen
class ProductKind:
    """A kind of product and its required tables; other tables are allowed.

    Attributes
    ----------
    name
        Its name, as DL0v1 Telescope.
    tables
        The required tables, in the order in which they are written.
    """

    name: str
    tables: tuple[RequiredTable, ...]


def _dl0(stream: str, *parts: tuple[str, str, int | None]) -> ProductKind:
    tables = (("DataStream", "DataStream", 1), *parts)
    return ProductKind(
        f"DL0v1 {stream}", tuple(RequiredTable(name, f"DL0v1.{stream}.{kind}", rows) for name, kind, rows in tables)
    )


#: The kinds of DL0 event files.
DL0_KINDS = (
    _dl0("Telescope", ("CameraConfiguration", "CameraConfiguration", 1), ("Events", "Event", None)),
    _dl0("Subarray", ("SubarrayEvents", "Event", None)),
    _dl0("Trigger", ("Triggers", "Trigger", None)),
)


@attrs.frozen(kw_only=True)
class Structure:
    """The result of a check of the HDUs of a file.

    Attributes
    ----------
    kind
        The kind of product; empty if it is unknown.
    """

    kind: str = ""
    defects: tuple[Defect, ...] = ()
    flags: tuple[Flag, ...] = ()


def kind_of(hdus: Sequence[HduFacts]) -> ProductKind | None:
    """Return the kind of DL0 whose first table is among `hdus`; None if there is none."""
    return next((kind for kind in DL0_KINDS if _table(hdus, kind.tables[0]) is not None), None)


def is_other_compressed(hdus: Sequence[HduFacts]) -> bool:
    """Whether a file has compressed images or tables, and none of DL0: as fpack writes them, or protozfits for R1.

    Source: FITS Standard 4.0, section 10.
    """
    words = [hdu.keywords for hdu in hdus]
    is_packed = any(cards.get("ZIMAGE") is True or cards.get("ZTABLE") is True for cards in words)
    return is_packed and not any(str(cards.get("PBFHEAD", "")).startswith("DL0") for cards in words)


def plain_structure(parsed: ParsedFits) -> Structure:
    """Check a FITS file without a known kind: only its first card."""
    kind = kind_of(parsed.hdus)
    name = kind.name if kind else ""
    claim = parsed.hdus[0].keywords.get("SIMPLE") if parsed.hdus else True
    if claim is True:
        return Structure(kind=name)
    message = f"SIMPLE is {claim!r:.40}, so that the file does not claim to be FITS as the standard has it"
    return Structure(kind=name, defects=(Defect(DefectKind.STRUCTURE, message),))


def dl0_structure(parsed: ParsedFits) -> Structure:
    """Check the HDUs of a DL0 product.

    Every HDU must have both sums, no bytes may follow the last one, and all tables of one kind must be present.
    """
    kind = kind_of(parsed.hdus)
    missing = _missing(parsed.hdus, kind) if parsed.complete else ()
    defects = (*plain_structure(parsed).defects, *_sum_defects(parsed), *missing, *_row_defects(parsed.hdus, kind))
    flags = (Flag.CUT_AT_HDU_BORDER,) if missing and _is_cut(parsed, kind) else ()
    return Structure(kind=kind.name if kind else "", defects=defects, flags=flags)


def _sum_defects(parsed: ParsedFits) -> Iterator[Defect]:
    """Yield a defect for each absent sum, and for bytes after the last HDU."""
    for hdu in parsed.hdus:
        sums = (("CHECKSUM", hdu.checksum), ("DATASUM", hdu.datasum))
        absent = [card for card, status in sums if status is SumStatus.ABSENT]
        if absent:
            where = f"HDU {hdu.index}" + (f" ({ascii(hdu.name)[1:-1]})" if hdu.name else "")
            yield Defect(DefectKind.UNCHECKED, f"{where} has no {' and no '.join(absent)}")
    if parsed.trailing_bytes:
        yield Defect(
            DefectKind.TRAILING_BYTES, f"{parsed.trailing_bytes} bytes follow the last part, HDU {len(parsed.hdus) - 1}"
        )


def _table(hdus: Sequence[HduFacts], table: RequiredTable) -> HduFacts | None:
    """Return the HDU of a table; astropy writes names in capitals when it writes a file again."""
    name = table.name.upper()
    return next(
        (hdu for hdu in hdus if hdu.name.upper() == name and hdu.keywords.get("PBFHEAD") == table.message), None
    )


def _missing(hdus: Sequence[HduFacts], kind: ProductKind | None) -> tuple[Defect, ...]:
    """Return a defect for each required table that is absent."""
    if kind is None:
        known = " or ".join(kind.tables[0].message for kind in DL0_KINDS)
        return (Defect(DefectKind.STRUCTURE, f"there is no table {DL0_KINDS[0].tables[0].name} that holds {known}"),)
    return tuple(
        Defect(DefectKind.STRUCTURE, f"a {kind.name} file must have a table {table.name} that holds {table.message}")
        for table in kind.tables
        if _table(hdus, table) is None
    )


def _is_cut(parsed: ParsedFits, kind: ProductKind | None) -> bool:
    """Whether an incomplete file has its first tables and ends at an HDU border."""
    if parsed.trailing_bytes:
        return False
    if kind is None:
        return len(parsed.hdus) == 1
    there = [_table(parsed.hdus, table) is not None for table in kind.tables]
    return there == sorted(there, reverse=True)


def _row_defects(hdus: Sequence[HduFacts], kind: ProductKind | None) -> Iterator[Defect]:
    """Yield a defect for each table with an impossible number of rows."""
    for table in kind.tables if kind else ():
        hdu = _table(hdus, table)
        if hdu is None:
            continue
        rows, tiles, length = (hdu.keywords.get(word) for word in ("ZNAXIS2", "NAXIS2", "ZTILELEN"))
        if hdu.keywords.get("ZTABLE") is not True:
            rows, tiles, length = tiles, None, None  # a table that is not compressed has its rows in NAXIS2
        if not _is_count(rows):
            yield Defect(DefectKind.STRUCTURE, f"table {table.name} does not say how many rows it has")
        elif table.rows not in {None, rows}:
            yield Defect(DefectKind.STRUCTURE, f"table {table.name} has {rows} rows, but must have {table.rows}")
        elif _is_count(tiles) and _is_count(length) and rows > tiles * length:
            message = f"table {table.name} has {rows} rows, but {tiles} tiles of at most {length}"
            yield Defect(DefectKind.STRUCTURE, message)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
