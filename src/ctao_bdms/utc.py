"""Parse times in UTC, also those within a leap second.

Source: ISO 8601, and FITS Standard 4.0, section 9.1.1: in UTC, the last minute of a month may have a second 60.
"""

from __future__ import annotations

import datetime as dt
import re

__all__ = ["LEAP_MICROSECOND", "parse_utc"]

#: `datetime` has no second 60: the last microsecond before it stands for all of it, so that the order of times and the
#: day are right.
LEAP_MICROSECOND = 999_999

_LEAP = re.compile(r"(?P<date>\d{4}-?\d\d-?\d\d)T23:?59:?60(?:\.\d*)?(?:Z|\+00:?00)?", re.ASCII)


def parse_utc(text: str) -> dt.datetime:
    """Parse an ISO 8601 time; without an offset it is UTC.

    Raises
    ------
    ValueError
        If it is not a time. The second 60 exists only at the end of a month.

    Examples
    --------
    >>> parse_utc("2016-12-31T23:59:60.5").isoformat()
    '2016-12-31T23:59:59.999999+00:00'
    """
    if match := _LEAP.fullmatch(text):
        date = dt.date.fromisoformat(match["date"])
        if (date + dt.timedelta(days=1)).day != 1:
            msg = f"{text} has a second 60, but is not the end of a month"
            raise ValueError(msg)
        return dt.datetime.combine(date, dt.time(23, 59, 59, LEAP_MICROSECOND), dt.UTC)
    found = dt.datetime.fromisoformat(text)
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
