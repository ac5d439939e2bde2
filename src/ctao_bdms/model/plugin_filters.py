"""Filters that our metadata plugin knows beyond Rucio's own, as client and server write them.

A filter of Rucio is a list of groups of conditions, ``key.operator: value``. The keys below stand among them. A server
with our plugin begins its answer to a group with `PAGE` with the row `HEADER`, and no other server does: so a client
knows whether it was understood.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, TypeGuard

import attrs

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model.metadata import METADATA, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEC", "HEADER", "NAME", "NEAR", "PAGE", "RA", "RESERVED", "SIZE", "VALID", "Cone", "ValidAt", "is_pattern"]

#: What the keys begin with; the rest stands where Rucio has an operator.
RESERVED = "bdms"
#: In the first group, a mapping with ``limit`` (rows at most), ``order`` (keys; with ``-`` in front, descending),
#: ``after`` (the values of ``order`` in the row before the first, and its name), or ``tally`` alone (a key: how many
#: have each of its values; empty: how many there are).
PAGE = f"{RESERVED}.page"
#: In any group, right ascension, declination and radius of a cone, in degrees.
NEAR = f"{RESERVED}.near"
#: In any group, an instant at which products are valid.
VALID = f"{RESERVED}.valid"
#: The first row of an answer.
HEADER: Mapping[str, str] = {RESERVED: "page"}
#: What an order may name besides the keys of the metadata table: the logical file name, and the size in bytes.
NAME, SIZE = "name", "bytes"

RA, DEC = "observation__coverage__space__ra", "observation__coverage__space__dec"
_FROM, _TO = "curation__valid_from", "curation__valid_to"


def is_pattern(value: object) -> TypeGuard[str]:
    """Return whether `value` is a text in which ``*`` or ``%`` stands for any characters."""
    return isinstance(value, str) and ("*" in value or "%" in value)


@attrs.frozen
class Cone:
    """The condition that a product points near a place of the sky.

    Attributes
    ----------
    ra_deg, dec_deg
        The place, in degrees, in the frame in which the products' pointings are.
    radius_deg
        How far off the pointing may be along the great circle, in degrees, 0 to 180.

    Raises
    ------
    InvalidMetadataError
        If there is no such cone.

    Examples
    --------
    >>> Cone(0.0, 90.0, 1.0).holds({RA: 123.0, DEC: 89.5})
    True
    """

    ra_deg: float = attrs.field(converter=float)
    dec_deg: float = attrs.field(converter=float)
    radius_deg: float = attrs.field(converter=float)

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.ra_deg) and -90 <= self.dec_deg <= 90 and 0 <= self.radius_deg <= 180):
            raise InvalidMetadataError(
                "near", "give right ascension, declination (-90 to 90) and radius (0 to 180), in degrees"
            )

    @property
    def declinations(self) -> tuple[float, float]:
        """The lowest and the highest declination in the cone, in degrees; a hair wider, lest rounding lose the edge."""
        return max(-90.0, self.dec_deg - self.radius_deg - 1e-9), min(90.0, self.dec_deg + self.radius_deg + 1e-9)

    @property
    def haversine(self) -> float:
        """The haversine of the radius, with a hair for rounding."""
        return math.sin(math.radians(self.radius_deg) / 2) ** 2 + 1e-18

    def holds(self, metadata: Mapping[str, Value]) -> bool:
        """Return whether a product with `metadata` points there; one without pointing does not."""
        ra, dec = metadata.get(RA), metadata.get(DEC)
        if not isinstance(ra, float) or not isinstance(dec, float):
            return False
        across = math.sin(math.radians(ra - self.ra_deg) / 2) ** 2
        up = math.sin(math.radians(dec - self.dec_deg) / 2) ** 2
        return up + math.cos(math.radians(dec)) * math.cos(math.radians(self.dec_deg)) * across <= self.haversine


@attrs.frozen
class ValidAt:
    """The condition that a product is valid at an instant: its validity has begun and has not ended.

    A product that does not say when its validity begins or ends is valid without a bound there.

    Attributes
    ----------
    at
        The instant (aware).
    """

    at: dt.datetime

    def holds(self, metadata: Mapping[str, Value]) -> bool:
        """Return whether a product with `metadata` is valid then."""
        begin, end = metadata.get(_FROM), metadata.get(_TO)
        has_begun = not isinstance(begin, dt.datetime) or begin <= self.at
        return has_begun and (not isinstance(end, dt.datetime) or self.at < end)

    def to_wire(self) -> str | int | float | bool:
        """Return the instant as JSON can carry it."""
        return METADATA[_FROM].to_wire(self.at)
