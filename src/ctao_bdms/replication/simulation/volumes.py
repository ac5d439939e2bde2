"""How many bytes a night brings: a model, from published volumes. Pure.

The year's volume is spread over the nights by the hours that are astronomically dark (Sun below -18 degrees) and not
lit by the Moon: the lit part of its disc is taken off, and around full Moon the telescopes rest. Weather is left out.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

from ctao_bdms.model import Night, Site

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BYTES_PER_YEAR", "dark_hours", "nights_of"]

#: Data of the observatory after compression: about 3 PB a year (cta-observatory.org, project/technology/computing).
#: How the sites share them is not published: half each.
BYTES_PER_YEAR = 3_000_000_000_000_000
#: Geographic latitudes, in degrees: Roque de los Muchachos and Paranal.
_LATITUDES = {Site.NORTH: 28.76, Site.SOUTH: -24.68}
_SYNODIC_DAYS, _NEW_MOON = 29.530588853, dt.datetime(2000, 1, 6, 18, 14, tzinfo=dt.UTC)
#: The lit part of the Moon's disc from which on the telescopes rest.
_BRIGHT = 0.95


def dark_hours(site: Site, night: Night) -> float:
    """Return the hours of a night in which it is dark enough to observe.

    Examples
    --------
    >>> round(dark_hours(Site.NORTH, Night.parse("2027-12-28")), 1)
    10.8
    """
    day = night.date.timetuple().tm_yday
    latitude = math.radians(_LATITUDES[site])
    declination = math.radians(-23.44 * math.cos(2 * math.pi * (day + 10) / 365.25))
    cosine = (math.sin(math.radians(-18)) - math.sin(latitude) * math.sin(declination)) / (
        math.cos(latitude) * math.cos(declination)
    )
    length = 24 - math.degrees(math.acos(cosine)) * 2 / 15
    middle = dt.datetime.combine(night.date + dt.timedelta(days=1), dt.time(), dt.UTC)
    age = (middle - _NEW_MOON) / dt.timedelta(days=_SYNODIC_DAYS)
    lit = (1 - math.cos(2 * math.pi * age)) / 2
    return 0.0 if lit >= _BRIGHT else length * (1 - lit)


def nights_of(site: Site, first: dt.date, years: int, bytes_per_year: float) -> Mapping[Night, int]:
    """Return the bytes of each night in which a site observes.

    Parameters
    ----------
    years
        How many years of 365.25 days.
    bytes_per_year
        What the site takes in a year, on average.
    """
    nights = [Night(first + dt.timedelta(days=day)) for day in range(round(365.25 * years))]
    hours = {night: dark_hours(site, night) for night in nights}
    per_hour = bytes_per_year * years / sum(hours.values())
    return {night: round(dark * per_hour) for night, dark in hours.items() if dark}
