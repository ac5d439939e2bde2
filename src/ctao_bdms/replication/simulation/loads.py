"""What centres and links carry, as tables."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

import attrs

from ctao_bdms.rows import Rows

__all__ = ["CentreLoad", "CentreLoads", "Effect", "Effects", "LinkLoad", "LinkLoads", "gbit_s"]

_DAY_S = 86_400.0
#: The rate at which the time of a move is told: what a centre's link may give to it.
_MOVE_GBIT_S = 10.0


def gbit_s(bytes_per_s: float) -> float:
    """Return a rate in bytes a second as gigabits a second."""
    return bytes_per_s * 8 / 1e9


def _pb(size_bytes: float) -> str:
    return f"{size_bytes / 1e15:.2f}"


@attrs.frozen(kw_only=True)
class CentreLoad:
    """What a centre got.

    Attributes
    ----------
    share, kept_share
        The part of the data that it should keep as the shares at the end say, and the part of all copies that it keeps.
    first_bytes, other_bytes
        What it received from the sites, and from other centres, as new data.
    moved_in_bytes, moved_out_bytes
        What changes moved to it, and what it no longer keeps.
    kept_bytes
        What it keeps at the end.
    """

    centre: str
    share: float
    kept_share: float
    first_bytes: int
    other_bytes: int
    moved_in_bytes: int
    moved_out_bytes: int
    kept_bytes: int

    @property
    def first(self) -> str:
        """What it received from the sites, in PB."""
        return _pb(self.first_bytes)

    @property
    def other(self) -> str:
        """What it received from other centres as new data, in PB."""
        return _pb(self.other_bytes)

    @property
    def moved_in(self) -> str:
        """What changes moved to it, in PB."""
        return _pb(self.moved_in_bytes)

    @property
    def moved_out(self) -> str:
        """What it no longer keeps, in PB."""
        return _pb(self.moved_out_bytes)

    @property
    def kept(self) -> str:
        """What it keeps at the end, in PB."""
        return _pb(self.kept_bytes)

    @property
    def shares(self) -> str:
        """The part of the copies that it keeps, and the one that it should keep."""
        return f"{self.kept_share:.1%} of {self.share:.1%}"


class CentreLoads(Rows[CentreLoad]):
    """What each centre got, one row a centre."""

    columns: ClassVar = (
        ("centre", "centre"),
        ("from sites, PB", "first"),
        ("from centres, PB", "other"),
        ("moved in, PB", "moved_in"),
        ("moved out, PB", "moved_out"),
        ("kept, PB", "kept"),
        ("part of copies, of share", "shares"),
    )


@attrs.frozen(kw_only=True)
class LinkLoad:
    """What a link carried.

    Attributes
    ----------
    source, target
        From where to where.
    new_bytes
        New data.
    moved_bytes
        What changes moved.
    mean_bytes_per_s
        New data, over the whole time.
    peak_night_bytes
        New data of the largest night.
    """

    source: str
    target: str
    new_bytes: int
    moved_bytes: int
    mean_bytes_per_s: float
    peak_night_bytes: int

    @property
    def peak_bytes_per_s(self) -> float:
        """What the largest night needs to have gone before the next one begins."""
        return self.peak_night_bytes / _DAY_S

    @property
    def new(self) -> str:
        """New data, in PB."""
        return _pb(self.new_bytes)

    @property
    def moved(self) -> str:
        """What changes moved, in PB."""
        return _pb(self.moved_bytes)

    @property
    def mean(self) -> str:
        """The mean rate, in Gbit/s."""
        return f"{gbit_s(self.mean_bytes_per_s):.2f}"

    @property
    def peak(self) -> str:
        """The rate of the largest night, in Gbit/s."""
        return f"{gbit_s(self.peak_bytes_per_s):.2f}"


class LinkLoads(Rows[LinkLoad]):
    """What each link carried, one row a link."""

    columns: ClassVar = (
        ("from", "source"),
        ("to", "target"),
        ("new, PB", "new"),
        ("moved, PB", "moved"),
        ("mean, Gbit/s", "mean"),
        ("largest night in 24 h, Gbit/s", "peak"),
    )


@attrs.frozen(kw_only=True)
class Effect:
    """What a change moved.

    Attributes
    ----------
    date, centre, what
        When, which centre, and what became of it.
    nights
        The nights whose data moved.
    moved_bytes
        What went over links.
    even_bytes
        What would have to, so that a centre that joined had its share of the older nights, too.
    """

    date: dt.date
    centre: str
    what: str
    nights: int
    moved_bytes: int
    even_bytes: int

    @property
    def moved(self) -> str:
        """What went over links, in PB."""
        return _pb(self.moved_bytes)

    @property
    def days(self) -> str:
        """How long that takes at 10 Gbit/s, in days."""
        return f"{gbit_s(self.moved_bytes / _DAY_S) / _MOVE_GBIT_S:.0f}"

    @property
    def even(self) -> str:
        """What evening out would move, in PB."""
        return _pb(self.even_bytes) if self.even_bytes else ""


class Effects(Rows[Effect]):
    """What each change moved, one row a change."""

    columns: ClassVar = (
        ("from", "date"),
        ("centre", "centre"),
        ("what", "what"),
        ("nights moved", "nights"),
        ("moved, PB", "moved"),
        ("days at 10 Gbit/s", "days"),
        ("to even out, PB", "even"),
    )
