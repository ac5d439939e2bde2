"""Years of nights, placed: what centres and links get, and what moves when a centre joins, leaves or is full. Pure."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import UsageError
from ctao_bdms.model import Night, RetentionClass, Rse, Site
from ctao_bdms.replication.placement import place
from ctao_bdms.replication.simulation.loads import CentreLoad, CentreLoads, Effect, Effects, LinkLoad, LinkLoads
from ctao_bdms.replication.simulation.volumes import BYTES_PER_YEAR, nights_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctao_bdms.replication.policy import Policy

__all__ = ["CENTRES", "Change", "ChangeKind", "Simulation", "simulate"]

#: The off-site data centres, with equal shares.
CENTRES = {"PIC": 1.0, "CSCS": 1.0, "DESY": 1.0, "Frascati": 1.0}
_SITES = (Site.NORTH, Site.SOUTH)


class ChangeKind(StrEnum):
    """What becomes of a centre."""

    #: it takes its share of new nights from then on
    JOINS = "joins"
    #: what it keeps is copied elsewhere
    LEAVES = "leaves"
    #: it takes no new nights, and keeps what it has
    FULL = "is full"


@attrs.frozen(kw_only=True)
class Change:
    """Something that becomes of a centre on a day.

    Attributes
    ----------
    date
        From which night on.
    """

    kind: ChangeKind
    centre: str
    date: dt.date

    @classmethod
    def parse(cls, kind: ChangeKind, text: str) -> Change:
        """Return what a text says.

        Raises
        ------
        UsageError
            If it says nothing.

        Examples
        --------
        >>> Change.parse(ChangeKind.JOINS, "CSCS@2028-01").date
        datetime.date(2028, 1, 1)
        """
        centre, _, date = text.partition("@")
        try:
            if not centre:
                raise ValueError(text)
            return cls(kind=kind, centre=centre, date=dt.date.fromisoformat(f"{date}-01" if len(date) == 7 else date))
        except ValueError as error:
            raise UsageError(f"{text!r} says no centre and month; it is written as CSCS@2028-01") from error


@attrs.frozen(kw_only=True)
class Simulation:
    """What years of nights bring.

    Attributes
    ----------
    first, years
        The first night, and how many years.
    nights
        The bytes of each night, by site.
    centres, links, effects
        What each centre and each link got, and what each change moved.
    months
        On the first of each month and at the end: the bytes that each centre keeps.
    """

    first: dt.date
    years: int
    nights: Mapping[Site, Mapping[Night, int]]
    centres: CentreLoads
    links: LinkLoads
    effects: Effects
    months: Mapping[dt.date, Mapping[str, int]]


def simulate(
    policy: Policy,
    *,
    first: dt.date,
    years: int,
    centres: Mapping[str, float] | None = None,
    changes: Sequence[Change] = (),
    even_out: bool = False,
    retention: RetentionClass = RetentionClass.PERMANENT,
    bytes_per_year: float = BYTES_PER_YEAR,
) -> Simulation:
    """Place years of nights.

    Parameters
    ----------
    years
        How many years of 365.25 days.
    centres
        The centres and their shares; by default those of the policy, else the four of the observatory.
    changes
        What becomes of centres.
    even_out
        Whether a centre that joins also takes its share of what was there before.
    retention
        The retention class of the data.
    bytes_per_year
        What both sites take in a year.

    Raises
    ------
    UsageError
        If a change names a centre that is not there, or there are fewer centres than copies.
    """
    end = first + dt.timedelta(days=round(365.25 * years))
    due = sorted(changes, key=lambda change: change.date)
    shares = _with_joining(centres or policy.retention(retention).centres or CENTRES, due, first, end)
    world = _World(policy, retention, shares, even_out, {c.centre for c in due if c.kind is ChangeKind.JOINS})
    nights = {site: nights_of(site, first, years, bytes_per_year / len(_SITES)) for site in _SITES}
    months: dict[dt.date, Mapping[str, int]] = {}
    effects = []
    for day in range((end - first).days):
        night = Night(first + dt.timedelta(days=day))
        if night.date.day == 1 or not day:
            months[night.date] = dict(world.kept)
        effects += [world.change(change) for change in due if change.date == night.date]
        for site in _SITES:
            if night in nights[site]:
                world.take(site, night, nights[site][night])
    months[end] = dict(world.kept)
    return Simulation(
        first=first,
        years=years,
        nights=nights,
        centres=CentreLoads(world.centres()),
        links=LinkLoads(world.links(end - first)),
        effects=Effects(effects),
        months=months,
    )


def _with_joining(
    centres: Mapping[str, float], due: Sequence[Change], first: dt.date, end: dt.date
) -> dict[str, float]:
    """Return the shares of the centres and of those that join; check the changes."""
    shares = dict(centres)
    for change in due:
        if not first < change.date < end:
            raise UsageError(f"{change.centre} {change.kind} on {change.date}: that is not between {first} and {end}")
        if change.kind is ChangeKind.JOINS:
            shares.setdefault(change.centre, 1.0)
        elif change.centre not in shares:
            raise UsageError(f"there is no centre {change.centre}; there are {', '.join(shares)}")
    return shares


@attrs.define
class _Data:
    """The data of a night, and who keeps them."""

    site: Site
    night: Night
    size_bytes: int
    centres: tuple[str, ...]


class _World:
    """The centres, and what they keep."""

    def __init__(
        self,
        policy: Policy,
        retention: RetentionClass,
        shares: Mapping[str, float],
        even_out: bool,
        later: set[str],
    ) -> None:
        # The shares are the ones of this simulation, wherever they come from.
        self._retention = attrs.evolve(policy.retention(retention), centres=None)
        self._policy = attrs.evolve(policy, retentions={**policy.retentions, retention: self._retention})
        self._class = retention
        self._shares = shares
        self._even_out = even_out
        self._there = {centre for centre in shares if centre not in later}
        self._full: set[str] = set()
        self._data: list[_Data] = []
        self.kept: Counter[str] = Counter(dict.fromkeys(shares, 0))
        self._first: Counter[str] = Counter()
        self._other: Counter[str] = Counter()
        self._moved: Counter[tuple[str, str]] = Counter()
        self._out: Counter[str] = Counter()
        self._days: dict[tuple[str, str], Counter[dt.date]] = {}

    def take(self, site: Site, night: Night, size_bytes: int) -> None:
        """Place a night."""
        centres = self._place(site, night)
        self._data.append(_Data(site, night, size_bytes, centres))
        self._first[centres[0]] += size_bytes
        self.kept[centres[0]] += size_bytes
        for centre in centres[1:]:
            self._other[centre] += size_bytes
            self.kept[centre] += size_bytes
        for link in itertools.pairwise((str(site), *centres)):
            self._days.setdefault(link, Counter())[night.date] += size_bytes

    def change(self, change: Change) -> Effect:
        """Do what becomes of a centre; return what that moves."""
        moved = even = count = 0
        if change.kind is ChangeKind.JOINS:
            if change.centre in self._there:
                raise UsageError(f"{change.centre} cannot join on {change.date}: it is there already")
            self._there.add(change.centre)
            for data in self._data:
                wanted = self._place(data.site, data.night, tuple(c for c in data.centres if c in self._full))
                even += data.size_bytes * len(set(wanted) - set(data.centres))
                if self._even_out and set(wanted) != set(data.centres):
                    moved += self._move(data, wanted)
                    count += 1
        elif change.kind is ChangeKind.FULL:
            self._full.add(change.centre)
        else:
            self._there.discard(change.centre)
            for data in self._data:
                if change.centre in data.centres:
                    rest = tuple(centre for centre in data.centres if centre != change.centre)
                    moved += self._move(data, self._place(data.site, data.night, rest))
                    count += 1
        return Effect(
            date=change.date,
            centre=change.centre,
            what=str(change.kind),
            nights=count,
            moved_bytes=moved,
            even_bytes=0 if self._even_out else even,
        )

    def _move(self, data: _Data, wanted: tuple[str, ...]) -> int:
        """Bring the data of a night to where they are wanted; return how many bytes go over links."""
        staying = [centre for centre in data.centres if centre in wanted]
        source = (staying or data.centres)[0]
        new = [centre for centre in wanted if centre not in data.centres]
        for centre in new:
            self._moved[source, centre] += data.size_bytes
            self.kept[centre] += data.size_bytes
        for centre in data.centres:
            if centre not in wanted:
                self.kept[centre] -= data.size_bytes
                self._out[centre] += data.size_bytes
        data.centres = wanted
        return data.size_bytes * len(new)

    def _place(self, site: Site, night: Night, held: tuple[str, ...] = ()) -> tuple[str, ...]:
        rses = [
            Rse(
                name=f"{centre}-DISK",
                prefix="",
                centre=centre,
                share=share,
                is_full=centre in self._full,
                is_tape=self._retention.tape,
            )
            for centre, share in self._shares.items()
            if centre in self._there
        ]
        return place(self._policy, rses, self._class, site, night, held)

    def centres(self) -> Iterator[CentreLoad]:
        """Yield what each centre got."""
        total, shares = self.kept.total(), sum(self._shares[centre] for centre in self._there)
        for centre, share in self._shares.items():
            yield CentreLoad(
                centre=centre,
                share=share / shares if centre in self._there else 0.0,
                kept_share=self.kept[centre] / total,
                first_bytes=self._first[centre],
                other_bytes=self._other[centre],
                moved_in_bytes=sum(size for (_, target), size in self._moved.items() if target == centre),
                moved_out_bytes=self._out[centre],
                kept_bytes=self.kept[centre],
            )

    def links(self, span: dt.timedelta) -> Iterator[LinkLoad]:
        """Yield what each link carried."""
        for source, target in sorted(self._days.keys() | self._moved.keys(), key=self._order):
            days = self._days.get((source, target), Counter[dt.date]())
            yield LinkLoad(
                source=source,
                target=target,
                new_bytes=days.total(),
                moved_bytes=self._moved[source, target],
                mean_bytes_per_s=days.total() / span.total_seconds(),
                peak_night_bytes=max(days.values(), default=0),
            )

    def _order(self, link: tuple[str, str]) -> tuple[int, int]:
        places = [*map(str, _SITES), *self._shares]
        return places.index(link[0]), places.index(link[1])
