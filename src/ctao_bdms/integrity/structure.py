"""What a product of each kind must contain, as tables.

Sums prove the parts that are there, not that all parts are there: a file cut exactly between two parts passes every
sum. So each kind of product names the parts that it must have.

Source: files written by ``protozfits`` 2.13 for the DL0v1 data model: each table carries in PBFHEAD the message that
its rows hold, and every part carries CHECKSUM and DATASUM, the primary too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import Defect, DefectKind, Flag, SumStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.integrity.walk import Walked
    from ctao_bdms.model import HduFacts

__all__ = ["DL0_KINDS", "Part", "ProductKind", "Structure", "kind_of", "structure_findings"]


@attrs.frozen
class Part:
    """A table that a product must have.

    Attributes
    ----------
    name
        Its EXTNAME.
    message
        The message that its rows hold: PBFHEAD.
    min_rows
        How many rows it must have at least.
    """

    name: str
    message: str
    min_rows: int = 0


@attrs.frozen
class ProductKind:
    """A kind of product and its parts; more parts, and any order, are allowed.

    Attributes
    ----------
    name
        What people call it.
    parts
        What it must have.
    """

    name: str
    parts: tuple[Part, ...]


def _dl0(stream: str, *parts: tuple[str, str, int]) -> ProductKind:
    tables = (("DataStream", "DataStream", 1), *parts)
    return ProductKind(
        f"DL0v1 {stream}", tuple(Part(name, f"DL0v1.{stream}.{kind}", rows) for name, kind, rows in tables)
    )


#: The kinds of DL0 event files.
DL0_KINDS = (
    _dl0("Telescope", ("CameraConfiguration", "CameraConfiguration", 1), ("Events", "Event", 0)),
    _dl0("Subarray", ("SubarrayEvents", "Event", 0)),
    _dl0("Trigger", ("Triggers", "Trigger", 0)),
)


def kind_of(hdus: tuple[HduFacts, ...], kinds: tuple[ProductKind, ...] = DL0_KINDS) -> ProductKind | None:
    """Return the kind whose first part is among `hdus`, None if there is none."""
    messages = {(hdu.name, hdu.keywords.get("PBFHEAD")) for hdu in hdus}
    return next((kind for kind in kinds if (kind.parts[0].name, kind.parts[0].message) in messages), None)


@attrs.frozen
class Structure:
    """What the parts of a file as a whole say: defects, and flags."""

    defects: tuple[Defect, ...] = ()
    flags: tuple[Flag, ...] = ()


def structure_findings(walked: Walked, kinds: tuple[ProductKind, ...]) -> Structure:
    """Say what is wrong with the parts of a file as a whole.

    Parameters
    ----------
    walked
        The parts.
    kinds
        The kinds of product that it can be; if there are any, sums are required in every part and nothing may follow
        the last one. Without, any structure will do.
    """
    return Structure(tuple(_defects(walked, kinds))) if kinds else Structure()


def _defects(walked: Walked, kinds: tuple[ProductKind, ...]) -> Iterator[Defect]:
    for hdu in walked.hdus:
        absent = [card for card, status in _sums(hdu) if status is SumStatus.ABSENT]
        if absent:
            where = f"HDU {hdu.index}" + (f" ({ascii(hdu.name)[1:-1]})" if hdu.name else "")
            yield Defect(DefectKind.UNCHECKED, f"{where} has no {' and no '.join(absent)}")
    if walked.trailing_bytes:
        yield Defect(
            DefectKind.TRAILING_BYTES, f"{walked.trailing_bytes} bytes follow the last part, HDU {len(walked.hdus) - 1}"
        )
    if walked.complete:
        yield from _part_defects(kinds, walked.hdus)


def _sums(hdu: HduFacts) -> tuple[tuple[str, SumStatus], tuple[str, SumStatus]]:
    return ("CHECKSUM", hdu.checksum), ("DATASUM", hdu.datasum)


def _part_defects(kinds: tuple[ProductKind, ...], hdus: tuple[HduFacts, ...]) -> Iterator[Defect]:
    """Yield the parts that are absent or empty."""
    kind = kind_of(hdus, kinds)
    if kind is None:
        known = " or ".join(kind.parts[0].message for kind in kinds)
        first = kinds[0].parts[0].name
        yield Defect(DefectKind.STRUCTURE, f"there is no table {first} that holds {known}")
        return
    for part in kind.parts:
        tables = [hdu for hdu in hdus if hdu.name == part.name and hdu.keywords.get("PBFHEAD") == part.message]
        if not tables:
            yield Defect(
                DefectKind.STRUCTURE, f"a {kind.name} file must have a table {part.name} that holds {part.message}"
            )
        elif _rows(tables[0]) < part.min_rows:
            yield Defect(DefectKind.STRUCTURE, f"table {part.name} has no row, but must have {part.min_rows}")


def _rows(hdu: HduFacts) -> int:
    """Return how many rows a table has; a compressed one says so in ZNAXIS2."""
    rows = hdu.keywords.get("ZNAXIS2", hdu.keywords.get("NAXIS2", 0))
    return rows if isinstance(rows, int) else 0
