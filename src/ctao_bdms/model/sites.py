"""The sites and what stands on them.

Source: array element and subarray numbers of the CTAO data model; times at a site follow its own zone.
"""

from __future__ import annotations

from enum import StrEnum
from zoneinfo import ZoneInfo

import attrs

from ctao_bdms.errors import InvalidNameError

__all__ = ["ArrayElement", "Site"]


class Site(StrEnum):
    """A site of the observatory or of its data."""

    NORTH = "CTAO-North"
    SOUTH = "CTAO-South"
    DPPS = "SDMC-DPPS"
    SUSS = "SDMC-SUSS"
    HQ = "HQ"
    EXTERNAL = "EXTERNAL"

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the site's local time: La Palma, Paranal, or UTC where nobody observes."""
        return ZoneInfo(_ZONES.get(self, "UTC"))


_ZONES = {Site.NORTH: "Atlantic/Canary", Site.SOUTH: "America/Santiago"}


def _numbered(prefix: str, first: int, count: int) -> dict[int, str]:
    return {first + i: f"{prefix}-{i + 1:02d}" for i in range(count)}


_TELESCOPES: dict[int, str] = {
    **_numbered("LSTN", 1, 4),
    **_numbered("MSTN", 5, 15),
    **_numbered("LSTS", 101, 4),
    **_numbered("MSTS", 105, 14),
    **_numbered("SSTS", 119, 50),
}


@attrs.frozen(order=True)
class ArrayElement:
    """A telescope of the array, by its number.

    Attributes
    ----------
    id
        The number that data carry as ``ae_id`` or ``tel_id`` (1 to 168).

    Examples
    --------
    >>> ArrayElement(1).name
    'LSTN-01'
    >>> ArrayElement.parse("MSTN-03").id
    7
    """

    id: int = attrs.field()

    @id.validator
    def _known(self, _attribute: object, value: int) -> None:
        if value not in _TELESCOPES:
            msg = f"there is no telescope number {value}"
            raise ValueError(msg)

    @classmethod
    def parse(cls, name: str) -> ArrayElement:
        """Return the telescope called `name`, e.g. ``LSTN-01``.

        Raises
        ------
        InvalidNameError
            If no telescope has that name.
        """
        number = _NUMBERS.get(name)
        if number is None:
            raise InvalidNameError(name, "a telescope is called LSTN-01, MSTN-15, LSTS-01, MSTS-14 or SSTS-50")
        return cls(number)

    @property
    def name(self) -> str:
        """The name, e.g. ``LSTN-01``."""
        return _TELESCOPES[self.id]

    @property
    def site(self) -> Site:
        """The site where it stands."""
        return Site.NORTH if self.id < 100 else Site.SOUTH

    def __str__(self) -> str:
        return self.name


_NUMBERS = {name: number for number, name in _TELESCOPES.items()}
