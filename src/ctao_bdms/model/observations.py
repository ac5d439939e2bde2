"""Identifiers of scheduling and observation blocks.

Source: the CTAO data model. An identifier is its creator times 10^9 plus a running number, so that all sites can number
on their own.
"""

from __future__ import annotations

from enum import IntEnum

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model.sites import Site

__all__ = ["Creator", "ObservationId"]

_BASE = 10**9


class Creator(IntEnum):
    """Who numbers blocks."""

    #: Nobody that the data model knows: identifiers below 10^9, of tests and of the time before the rule.
    NONE = 0
    SUSS = 1
    ACADA_NORTH = 2
    ACADA_SOUTH = 3
    DPPS = 4

    @property
    def site(self) -> Site | None:
        """The site of the creator."""
        return _SITES.get(self)


_SITES = {
    Creator.SUSS: Site.SUSS,
    Creator.ACADA_NORTH: Site.NORTH,
    Creator.ACADA_SOUTH: Site.SOUTH,
    Creator.DPPS: Site.DPPS,
}


@attrs.frozen(order=True, repr=False)
class ObservationId:
    """The identifier of a scheduling block (``sb_id``) or an observation block (``obs_id``).

    Attributes
    ----------
    creator
        Who numbered the block.
    number
        Its running number with this creator, below 10^9.

    Examples
    --------
    >>> block = ObservationId.parse("0000000002000000016")
    >>> block.creator.site.value, block.number, int(block), str(block)
    ('CTAO-North', 16, 2000000016, '2000000016')
    >>> block
    ObservationId(2000000016, ACADA_NORTH)
    """

    creator: Creator = attrs.field(converter=Creator)
    number: int = attrs.field(validator=[attrs.validators.ge(0), attrs.validators.lt(_BASE)])

    @classmethod
    def of(cls, value: int) -> ObservationId:
        """Return the identifier whose number, creator included, is `value`.

        Raises
        ------
        ValueError
            If no creator makes such numbers.
        """
        creator, number = divmod(value, _BASE)
        if creator not in _CREATORS:
            msg = f"no creator of blocks numbers them {value}: its number over 10^9 is not one of 0 to {max(Creator):d}"
            raise ValueError(msg)
        return cls(creator, number)

    @classmethod
    def parse(cls, text: str) -> ObservationId:
        """Return the identifier that digits say, with any zeros in front.

        Raises
        ------
        InvalidNameError
            If `text` has other characters than digits, or no creator makes such numbers.
        """
        place = next((i for i, character in enumerate(text) if character not in "0123456789"), None)
        if place is not None or not text:
            raise InvalidNameError(text, "the identifier of a block is written in digits", place)
        try:
            return cls.of(int(text))
        except ValueError as error:
            raise InvalidNameError(text, str(error)) from error

    def __int__(self) -> int:
        return self.creator * _BASE + self.number

    def __str__(self) -> str:
        """Return the ten digits of file names."""
        return f"{int(self):010d}"

    def __repr__(self) -> str:
        return f"ObservationId({self}, {self.creator.name})"


_CREATORS = frozenset(map(int, Creator))
