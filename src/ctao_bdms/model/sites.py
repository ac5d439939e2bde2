"""The sites and what stands on them.

Source: array element and subarray numbers of the CTAO data model, as published with ``ctapipe_io_zfits`` 0.5; times at
a site follow its own zone.
"""

from __future__ import annotations

import difflib
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from ctao_bdms.errors import InvalidNameError, MissingExtraError

__all__ = ["ArrayElement", "ElementKind", "Site", "Subarray"]


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
        """The zone of the site's local time: La Palma, Paranal, or UTC where nobody observes.

        Raises
        ------
        MissingExtraError
            If neither this machine nor the package ``tzdata`` says what the zone is.
        """
        try:
            return ZoneInfo(_ZONES.get(self, "UTC"))
        except ZoneInfoNotFoundError as error:
            raise MissingExtraError("client", "tzdata") from error


_ZONES = {Site.NORTH: "Atlantic/Canary", Site.SOUTH: "America/Santiago"}


class ElementKind(StrEnum):
    """The kind of an array element."""

    LST = "large-sized telescope"
    MST = "medium-sized telescope"
    SST = "small-sized telescope"
    #: An instrument that serves the whole array: lidar, ceilometer, weather station, all-sky camera, ...
    ACE = "array common element"


def _numbered(first: int, **counts: int) -> dict[int, str]:
    """Return names by number, from `first` on: so many of each prefix."""
    names = [f"{prefix}-{i + 1:02d}" for prefix, count in counts.items() for i in range(count)]
    return dict(enumerate(names, first))


_ELEMENTS: dict[int, str] = {
    **_numbered(1, LSTN=4, MSTN=15),
    **_numbered(20, RLDN=1, STPN=1, MSPN=1, ILLN=2, CEIN=1, WSTN=3, ASCN=1, DUSN=1, LISN=1),
    **_numbered(101, LSTS=4, MSTS=14, SSTS=50),
    **_numbered(169, CEIS=1, RLDS=2, STPS=2, MSPS=1, ILLS=4, WSTS=3, ASCS=1, DUSS=1),
}


@attrs.frozen(order=True, repr=False)
class ArrayElement:
    """A telescope or common instrument of the array, by its number.

    Attributes
    ----------
    id
        The number that data carry as ``ae_id``, of a telescope also as ``tel_id``: 1 to 31 in the north, 101 to 183 in
        the south.

    Examples
    --------
    >>> ArrayElement(1).name
    'LSTN-01'
    >>> ArrayElement.parse("MSTN-03").id
    7
    >>> ArrayElement(25)
    ArrayElement(CEIN-01)
    >>> ArrayElement(25).is_telescope
    False
    """

    id: int = attrs.field()

    @id.validator
    def _known(self, _attribute: object, value: int) -> None:
        if value not in _ELEMENTS:
            msg = f"there is no array element number {value}"
            raise ValueError(msg)

    @classmethod
    def parse(cls, name: str) -> ArrayElement:
        """Return the element called `name`, e.g. ``LSTN-01``.

        Raises
        ------
        InvalidNameError
            If none has that name; the error suggests the nearest.
        """
        number = _NUMBERS.get(name)
        if number is None:
            near = difflib.get_close_matches(name, _NUMBERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidNameError(name, f"no array element is called so (they are called as LSTN-01 or CEIS-01){hint}")
        return cls(number)

    @classmethod
    def of(cls, value: object) -> ArrayElement:
        """Return the element that a person means: by its number, its name, or itself."""
        if isinstance(value, ArrayElement):
            return value
        text = str(value)
        return cls(int(text)) if text.isdigit() else cls.parse(text)

    @staticmethod
    def exists(element: int | str) -> bool:
        """Whether an array element has this number or name."""
        return element in _ELEMENTS or element in _NUMBERS

    @property
    def name(self) -> str:
        """The name, e.g. ``LSTN-01``."""
        return _ELEMENTS[self.id]

    @property
    def site(self) -> Site:
        """The site where it stands."""
        return Site.NORTH if self.id < 100 else Site.SOUTH

    @property
    def kind(self) -> ElementKind:
        """What it is."""
        return ElementKind.__members__.get(self.name[:3], ElementKind.ACE)

    @property
    def is_telescope(self) -> bool:
        """Whether it is a Cherenkov telescope."""
        return self.kind is not ElementKind.ACE

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"ArrayElement({self.name})"


_NUMBERS = {name: number for number, name in _ELEMENTS.items()}

_SUBARRAYS: dict[int, tuple[str, range]] = {
    1: ("LST1", range(1, 2)),
    2: ("CTAO-N LSTs", range(1, 5)),
    3: ("CTAO-N MSTs 1st batch", range(5, 10)),
}


@attrs.frozen(order=True, repr=False)
class Subarray:
    """Array elements that observe together, by number.

    The observatory names a few; others come and go with the schedule, so that any number is one.

    Attributes
    ----------
    id
        The number that data carry as ``subarray_id``.

    Examples
    --------
    >>> Subarray(2)
    Subarray(2, CTAO-N LSTs)
    >>> [element.name for element in Subarray(2).elements]
    ['LSTN-01', 'LSTN-02', 'LSTN-03', 'LSTN-04']
    """

    id: int = attrs.field(validator=attrs.validators.ge(0))

    @property
    def name(self) -> str:
        """The name; empty if the observatory names no such subarray."""
        return _SUBARRAYS[self.id][0] if self.id in _SUBARRAYS else ""

    @property
    def elements(self) -> tuple[ArrayElement, ...]:
        """The elements of a named subarray; empty for others."""
        return tuple(map(ArrayElement, _SUBARRAYS[self.id][1])) if self.id in _SUBARRAYS else ()

    def __str__(self) -> str:
        return str(self.id)

    def __repr__(self) -> str:
        return f"Subarray({', '.join(filter(None, (str(self.id), self.name)))})"
