"""The keywords that say what a product is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.model import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctao_bdms.model import HduFacts, Keyword

__all__ = ["keywords"]

_KNOWN = frozenset(keyword for row in METADATA.values() for keyword in row.keywords)
_ENDS = ("DATE-END", "DATEEND")


def keywords(hdus: Sequence[HduFacts]) -> Mapping[str, Keyword]:
    """Return the keywords of a FITS file that identify the product, from all its headers together.

    The cards of the data model stand in the header of the table ``DataStream``, which therefore comes first; the other
    parts follow in their order, and the first value of a keyword counts. Only the times of the writer, which
    ``protozfits`` stamps on every table, are taken together: the earliest DATE and the latest DATE-END.

    Parameters
    ----------
    hdus
        The parts of the file.

    Returns
    -------
    Mapping[str, Keyword]
        Values by keyword, of the keywords that `ctao_bdms.model.METADATA` knows; for
        `ctao_bdms.model.ProductMetadata.from_keywords`.
    """
    parts = sorted(hdus, key=lambda hdu: (hdu.name != "DataStream", hdu.index))
    merged: dict[str, Keyword] = {}
    for hdu in parts:
        for keyword in _KNOWN & hdu.keywords.keys():
            merged.setdefault(keyword, hdu.keywords[keyword])
    stamps = {word: [hdu.keywords[word] for hdu in parts if word in hdu.keywords] for word in ("DATE", *_ENDS)}
    for word, values in stamps.items():
        texts = [value for value in values if isinstance(value, str)]
        if texts and len(texts) == len(values):
            merged[word] = max(texts) if word in _ENDS else min(texts)
    return merged
