"""Convert begin and end of a DL3 observation to UTC.

Source: FITS Standard 4.0, section 9; GADF 0.3 (times are seconds since MJDREFI + MJDREFF in the time scale TIMESYS;
DATE-BEG, DATE-OBS and DATE-END are in the same scale); leap seconds: IERS Bulletin C.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ctao_bdms.utc import parse_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctao_bdms.model import Keyword

__all__ = ["observation_times"]

_MJD_0 = dt.datetime(1858, 11, 17, tzinfo=dt.UTC)
_TT_MINUS_TAI = dt.timedelta(seconds=32.184)

#: The months (year, month) that begin after a leap second. TAI - UTC is 10 s in 1972.
_LEAPS = tuple(
    dt.datetime(year, month, 1, tzinfo=dt.UTC)
    for year, month in (
        *((1972, 7), (1973, 1), (1974, 1), (1975, 1), (1976, 1), (1977, 1), (1978, 1), (1979, 1), (1980, 1)),
        *((1981, 7), (1982, 7), (1983, 7), (1985, 7), (1988, 1), (1990, 1), (1991, 1), (1992, 7), (1993, 7)),
        *((1994, 7), (1996, 1), (1997, 7), (1999, 1), (2006, 1), (2009, 1), (2012, 7), (2015, 7), (2017, 1)),
    )
)


def observation_times(header: Mapping[str, Keyword]) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return begin and end (UTC) from the header of an event list; None where unknown.

    Date texts take precedence over seconds since the reference time. Time scales other than UTC, TAI, TT, TDT and TDB
    are not converted. TDB is treated as TT: they never differ by more than 2 ms.
    """
    begin = _date(header, "DATE-BEG", "") or _date(header, "DATE-OBS", "TIME-OBS") or _seconds(header, "TSTART")
    end = _date(header, "DATE-END", "TIME-END") or _seconds(header, "TSTOP")
    scale = str(header.get("TIMESYS", "UTC")).strip().upper()
    return _utc(begin, scale), _utc(end, scale)


def _date(header: Mapping[str, Keyword], date: str, time: str) -> dt.datetime | None:
    """Parse a date card, with the time of day from another card if needed."""
    text, clock = header.get(date), header.get(time)
    if not isinstance(text, str) or not text:
        return None
    if "T" not in text and isinstance(clock, str) and clock:
        text = clock if "T" in clock else f"{text}T{clock}"
    try:
        return parse_utc(text)
    except ValueError:
        return None


def _seconds(header: Mapping[str, Keyword], keyword: str) -> dt.datetime | None:
    """Return the time of a card in seconds since the reference time."""
    values = [header.get(word) for word in ("MJDREFI", "MJDREFF", keyword)]
    unit = str(header.get("TIMEUNIT", "s")).strip()
    if unit != "s" or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    days, part, seconds = (float(value) for value in values)  # type: ignore[arg-type]
    try:
        return _MJD_0 + dt.timedelta(days=days) + dt.timedelta(days=part, seconds=seconds)
    except OverflowError:
        return None


def _utc(instant: dt.datetime | None, scale: str) -> dt.datetime | None:
    """Convert a time in `scale` to UTC."""
    if instant is None or scale == "UTC":
        return instant
    if scale not in {"TAI", "TT", "TDT", "TDB"}:
        return None
    try:
        tai = instant if scale == "TAI" else instant - _TT_MINUS_TAI
        guess = tai - _leap_seconds(tai)
        return tai - _leap_seconds(guess)
    except OverflowError:
        return None


def _leap_seconds(utc: dt.datetime) -> dt.timedelta:
    return dt.timedelta(seconds=10 + sum(utc >= leap for leap in _LEAPS))
