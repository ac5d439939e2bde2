"""Map attributes of HDF5, NetCDF and ECSV to metadata keywords: a table of spellings for the metadata table.

Sources: the reference metadata of ctapipe (``CTA PRODUCT ...``, up to 0.32 at least), its successor, which is the
product of the CTAO data model flattened behind ``CTAO``, and the Attribute Convention for Data Discovery 1.3 for
NetCDF.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctao_bdms.model import METADATA, DataLevel, Defect, DefectKind, Keyword

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPELLINGS", "keywords_of"]

#: The metadata key of each attribute.
SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "CTA ACTIVITY ID": "activity__id",
        "CTA ACTIVITY NAME": "activity__name",
        "CTA ACTIVITY SOFTWARE NAME": "activity__software__name",
        "CTA ACTIVITY SOFTWARE VERSION": "activity__software__version",
        "CTA ACTIVITY START TIME": "activity__start",
        "CTA ACTIVITY STOP TIME": "activity__end",
        "CTA CONTACT EMAIL": "contact__email",
        "CTA CONTACT NAME": "contact__name",
        "CTA CONTACT ORGANIZATION": "contact__organization",
        "CTA INSTRUMENT SITE": "instance__site_id",
        "CTA PRODUCT CREATION TIME": "creation_time",
        "CTA PRODUCT DATA ASSOCIATION": "data__association",
        "CTA PRODUCT DATA CATEGORY": "instance__category",
        "CTA PRODUCT DATA LEVELS": "data__level",
        "CTA PRODUCT DATA MODEL NAME": "model__name",
        "CTA PRODUCT DATA MODEL URL": "model__url",
        "CTA PRODUCT DATA MODEL VERSION": "model__version",
        "CTA PRODUCT DESCRIPTION": "description",
        "CTA PRODUCT ID": "instance__id",
        "creator_email": "contact__email",
        "creator_name": "contact__name",
        "date_created": "creation_time",
        "institution": "contact__organization",
        "license": "curation__license",
        "time_coverage_end": "observation__coverage__time__t_max",
        "time_coverage_start": "observation__coverage__time__t_min",
        "title": "description",
    }
)

#: The values that ctapipe writes for unknown metadata; ``N.`` is how PyTables stores None.
_NOTHING = {"", "N.", "None", "unknown", "unknown@example.org", "unspecified", "Other"}
#: ctapipe's category of simulations, which is not in the data model.
_NO_CATEGORY = "Sim"
_KEYWORDS = {keyword: row for row in METADATA.values() for keyword in row.keywords}
_PARTS = re.compile(r"[. ]")


def keywords_of(attributes: Mapping[str, object]) -> tuple[dict[str, Keyword], tuple[Defect, ...]]:
    """Return the metadata in attributes, by the keyword of the metadata table, or by its key without one.

    Parameters
    ----------
    attributes
        Values by name; only text, numbers and booleans are valid.

    Returns
    -------
    keywords, defects
        For `ctao_bdms.model.ProductMetadata.from_keywords`, and a defect for each attribute that is not a single value.
    """
    keywords: dict[str, Keyword] = {}
    defects = []
    for name, value in attributes.items():
        key = _key(name)
        if key is None or (isinstance(value, str) and value.strip() in _NOTHING):
            continue
        if not isinstance(value, str | int | float | bool):
            defects.append(Defect(DefectKind.INVALID_METADATA, f"attribute {name!a} is not a single value"))
            continue
        if key == "data__level" and isinstance(value, str):
            value = _highest(value)
        if key == "instance__category" and value == _NO_CATEGORY:
            continue
        row = METADATA[key]
        keywords.setdefault(row.keywords[0] if row.keywords else key, value)
    return keywords, tuple(defects)


def _key(name: str) -> str | None:
    """Return the metadata key of an attribute."""
    if name in SPELLINGS:
        return SPELLINGS[name]
    if name in _KEYWORDS:
        return _KEYWORDS[name].key
    first, *parts = _PARTS.split(name)
    key = "__".join(parts).lower()
    return key if first == "CTAO" and key in METADATA else None


def _highest(levels: str) -> str:
    """Return the highest level of a list such as ``DL1_IMAGES,DL2``; the text itself if it is not a list."""
    words = {word.strip().partition("_")[0] for word in levels.split(",")}
    known = [level for level in DataLevel if level.value in words]
    return max(known).value if known else levels
