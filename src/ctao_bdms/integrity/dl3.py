"""Check science-ready FITS files (DL3) by the classes of their HDUs.

Source: the data formats for gamma-ray astronomy (GADF) 0.2 and 0.3, which CTAO's DL3 follows. HDUCLASS is the
convention, HDUCLAS1 to HDUCLAS4 the class of an HDU. Only what both versions require without a default is required
here. Checksums are not part of the convention: they are verified if present.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.integrity.structure import Structure, plain_structure
from ctao_bdms.model import Defect, DefectKind, Flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctao_bdms.integrity.hdus import ParsedFits
    from ctao_bdms.model import HduFacts

__all__ = ["DL3_CLASSES", "HduClass", "class_of", "dl3_structure", "is_dl3"]

_CONVENTIONS = {"GADF", "CTA", "CTAO"}
_TIME = ("MJDREFI", "MJDREFF", "TIMESYS")


@attrs.frozen(kw_only=True)
class HduClass:
    """A class of HDUs.

    Attributes
    ----------
    words
        The values of HDUCLAS1, HDUCLAS2, ...; the longest match counts.
    kind
        The kind of a file whose first class in `DL3_CLASSES` is this one.
    keywords, columns
        Required header keywords and table columns.
    min_rows
        Minimum number of rows.
    needs
        The HDUCLAS1 of another HDU that is required in the same file.
    """

    words: tuple[str, ...]
    kind: str
    keywords: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    min_rows: int = 0
    needs: str = ""


def _response(*words: str, columns: tuple[str, ...] = ()) -> HduClass:
    return HduClass(words=("RESPONSE", *words), kind="GADF responses", columns=columns, min_rows=1)


_ENERGY, _THETA = ("ENERG_LO", "ENERG_HI"), ("THETA_LO", "THETA_HI")

#: The classes, in the order in which they decide the kind of a file.
DL3_CLASSES = (
    HduClass(
        words=("EVENTS",),
        kind="GADF events",
        keywords=("OBS_ID", *_TIME),
        columns=("EVENT_ID", "TIME", "RA", "DEC", "ENERGY"),
        needs="GTI",
    ),
    HduClass(words=("GTI",), kind="GADF good times", keywords=_TIME, columns=("START", "STOP"), min_rows=1),
    HduClass(words=("POINTING",), kind="GADF pointing", keywords=_TIME, columns=("TIME", "RA_PNT", "DEC_PNT")),
    _response("EFF_AREA", columns=(*_ENERGY, *_THETA, "EFFAREA")),
    _response("EDISP", columns=("MIGRA_LO", "MIGRA_HI", *_THETA, "MATRIX")),
    _response("PSF"),
    _response("RPSF"),
    _response("BKG"),
    _response("RAD_MAX"),
    _response(),
    HduClass(words=("INDEX", "HDU"), kind="GADF HDU index", columns=("OBS_ID", "HDU_TYPE", "HDU_CLASS")),
    HduClass(words=("INDEX", "OBS"), kind="GADF observation index", columns=("OBS_ID",)),
)


def is_dl3(hdus: Sequence[HduFacts]) -> bool:
    """Return whether an HDU declares the convention and has a known class."""
    return any(_text(hdu, "HDUCLASS").upper() in _CONVENTIONS and class_of(hdu) for hdu in hdus)


def class_of(hdu: HduFacts) -> HduClass | None:
    """Return the class of an HDU; None if it is unknown.

    An HDU without HDUCLAS1 has the class that its EXTNAME is: gammapy writes its good times so.
    """
    words = tuple(_text(hdu, f"HDUCLAS{number}").upper() for number in range(1, 5))
    if not words[0]:
        words = (hdu.name.strip().upper(),)
    fitting = [known for known in DL3_CLASSES if words[: len(known.words)] == known.words]
    return max(fitting, key=lambda known: len(known.words), default=None)


def dl3_structure(parsed: ParsedFits) -> Structure:
    """Check the HDUs of a science-ready file."""
    plain = plain_structure(parsed)
    parts = [(hdu, known) for hdu in parsed.hdus if (known := class_of(hdu)) is not None]
    telling = min((known for _, known in parts), key=DL3_CLASSES.index)
    defects = [defect for hdu, known in parts for defect in _hdu_defects(hdu, known)]
    there = {known.words[0] for _, known in parts}
    needed = {known.needs: known for _, known in parts if known.needs and known.needs not in there}
    if parsed.complete:
        defects += [
            Defect(DefectKind.STRUCTURE, f"a file with {known.words[0]} must have a part {word} too")
            for word, known in needed.items()
        ]
    is_cut = bool(needed) and parsed.complete and not parsed.trailing_bytes
    cut = is_cut and class_of(parsed.hdus[-1]) in needed.values()
    return Structure(
        kind=telling.kind, defects=(*plain.defects, *defects), flags=(Flag.CUT_AT_HDU_BORDER,) if cut else ()
    )


def _hdu_defects(hdu: HduFacts, known: HduClass) -> Iterator[Defect]:
    """Yield a defect for each missing keyword, column or row."""
    where = f"HDU {hdu.index} ({'/'.join(known.words)})"
    absent = [word for word in known.keywords if word not in hdu.keywords]
    if absent:
        yield Defect(DefectKind.STRUCTURE, f"{where} has no keyword {', '.join(absent)}")
    fields = hdu.keywords.get("TFIELDS")
    count = fields if isinstance(fields, int) and 0 <= fields <= 999 else 0
    columns = {_text(hdu, f"TTYPE{number}").upper() for number in range(1, count + 1)}
    missing = [column for column in known.columns if column not in columns]
    if missing:
        yield Defect(DefectKind.STRUCTURE, f"{where} has no column {', '.join(missing)}")
    rows = hdu.keywords.get("NAXIS2")
    if known.min_rows and (not isinstance(rows, int) or rows < known.min_rows):
        yield Defect(DefectKind.STRUCTURE, f"{where} has {rows!r:.40} rows, but must have {known.min_rows} at least")


def _text(hdu: HduFacts, keyword: str) -> str:
    """Return a text value of the header, empty if there is none."""
    value = hdu.keywords.get(keyword)
    return value.strip() if isinstance(value, str) else ""
