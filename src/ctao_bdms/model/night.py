"""The observing night."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError

if TYPE_CHECKING:
    from ctao_bdms.model.sites import Site

__all__ = ["Night"]


@attrs.frozen(order=True)
class Night:
    """The time from local noon to local noon at a site, named by the date of its evening.

    Attributes
    ----------
    date
        The local date at the evening.

    Examples
    --------
    >>> Night.parse("2026-11-21")
    Night(2026-11-21)
    >>> import datetime as dt
    >>> from ctao_bdms.model import Site
    >>> Night.of(dt.datetime(2026, 11, 22, 3, tzinfo=dt.UTC), Site.NORTH)
    Night(2026-11-21)
    """

    date: dt.date

    @classmethod
    def parse(cls, text: str) -> Night:
        """Return the night written as ``YYYY-MM-DD`` or ``YYYYMMDD``.

        Raises
        ------
        InvalidNameError
            If `text` is no such date.
        """
        try:
            return cls(dt.date.fromisoformat(text))
        except ValueError as error:
            raise InvalidNameError(text, "a night is the date of its evening, YYYY-MM-DD") from error

    @classmethod
    def of(cls, instant: dt.datetime, site: Site) -> Night:
        """Return the night at `site` that contains `instant` (aware)."""
        if instant.tzinfo is None:
            msg = "an instant without a time zone belongs to no night"
            raise ValueError(msg)
        return cls((instant.astimezone(site.zone) - dt.timedelta(hours=12)).date())

    def start(self, site: Site) -> dt.datetime:
        """Return the noon, UTC, at which the night begins at `site`."""
        return dt.datetime.combine(self.date, dt.time(12), tzinfo=site.zone).astimezone(dt.UTC)

    def end(self, site: Site) -> dt.datetime:
        """Return the noon, UTC, at which the night ends at `site`."""
        return Night(self.date + dt.timedelta(days=1)).start(site)

    def __str__(self) -> str:
        return self.date.isoformat()

    def __repr__(self) -> str:
        return f"Night({self.date.isoformat()})"
