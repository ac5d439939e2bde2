"""Collect the header keywords that identify a product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.integrity.dl3_times import observation_times
from ctao_bdms.model import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctao_bdms.model import HduFacts, Keyword

__all__ = ["dl3_keywords", "keywords"]

_KNOWN = frozenset(keyword for row in METADATA.values() for keyword in row.keywords)
_ENDS = ("DATE-END", "DATEEND")


def keywords(hdus: Sequence[HduFacts]) -> Mapping[str, Keyword]:
    """Return the keywords of all headers that identify the product.

    The keywords of the data model are in the header of the table ``DataStream``, which therefore comes first. The
    other HDUs follow in order, and the first value of a keyword counts. Only the times that ``protozfits`` adds to
    every table are combined: the earliest DATE and the latest DATE-END.

    Returns
    -------
    Mapping[str, Keyword]
        Values by keyword, of the keywords that `ctao_bdms.model.METADATA` knows; for
        `ctao_bdms.model.ProductMetadata.from_keywords`.
    """
    parts = sorted(hdus, key=lambda hdu: (hdu.name.upper() != "DATASTREAM", hdu.index))
    merged = _merged(parts)
    stamps = {word: [hdu.keywords[word] for hdu in parts if word in hdu.keywords] for word in ("DATE", *_ENDS)}
    for word, values in stamps.items():
        texts = [value for value in values if isinstance(value, str)]
        if texts and len(texts) == len(values):
            merged[word] = max(texts) if word in _ENDS else min(texts)
    return merged


def dl3_keywords(hdus: Sequence[HduFacts]) -> Mapping[str, Keyword]:
    """Return the keywords of a science-ready FITS file that identify the product.

    The event list comes first. There, DATE is the time of writing and not the begin of the data. Begin and end are
    converted to UTC and returned under the keywords of the data model.
    """
    parts = sorted(hdus, key=lambda hdu: (hdu.keywords.get("HDUCLAS1") != "EVENTS", hdu.index))
    merged = {word: value for word, value in _merged(parts).items() if word not in {"DATE", "DATE-BEG", *_ENDS}}
    times = [observation_times(hdu.keywords) for hdu in parts]
    for word, instants in (("DATE-BEG", [begin for begin, _ in times]), ("DATE-END", [end for _, end in times])):
        instant = next((instant for instant in instants if instant is not None), None)
        if instant is not None:
            merged[word] = instant.replace(tzinfo=None).isoformat()
    return merged


def _merged(parts: Sequence[HduFacts]) -> dict[str, Keyword]:
    """Return the known keywords of several headers; the first value of each counts."""
    merged: dict[str, Keyword] = {}
    for hdu in parts:
        for keyword in _KNOWN & hdu.keywords.keys():
            merged.setdefault(keyword, hdu.keywords[keyword])
    return merged
