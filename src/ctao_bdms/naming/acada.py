"""Names of the files that the array control and data acquisition (ACADA) writes.

Grammar (ACADA-DPPS interface, table 6, and published samples)::

    name   = owner "_" source "_" date ["T" time] ["_SBID" n] ["_OBSID" n] ["_RUNID" n]
             ["_" type ["_" subtype]] ["_CHUNK" n | "_FILE" n] extension
    owner  = ("SUB" | "TEL" | "AUX" | "ACE") 3*digit
    source = 1*UPPER *digit
    first  = "Tel" 3*digit "_" 1*UPPER "_" n "_" date "T" time "_sbid" n "_obid" n "_" n ".fits.fz"

``first`` is what release 1 of ACADA wrote in place of ``name``. All numbers may have any zeros in front. The date is
the UTC time stamp of the file.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.naming.grammar import Grammar, Piece
from ctao_bdms.utc import LEAP_MICROSECOND, parse_utc

if TYPE_CHECKING:
    import re

__all__ = ["AcadaName", "Stream"]


class Stream(StrEnum):
    """The data stream of an acquisition file, by its name."""

    TELESCOPE_EVENTS = "telescope events"
    SUBARRAY_EVENTS = "subarray events"
    TELESCOPE_TRIGGERS = "telescope triggers"
    MONITORING = "monitoring"
    OTHER = "other"


_LABELLED = r"(?!CHUNK\d|FILE\d|SBID\d|OBSID\d|RUNID\d)"
_NAME = Grammar(
    [
        Piece("SUB, TEL, AUX or ACE and three digits", r"(?P<owner>SUB|TEL|AUX|ACE)(?P<owner_digits>\d{3})"),
        Piece("'_' and the source, capitals and digits, as in SDH0001", r"_(?P<source>[A-Z]+\d*)(?=_)"),
        Piece("'_' and a date as in 20261121 or 20261121T221500", r"_(?P<stamp>\d{8}(?:T\d{6})?)"),
        Piece("'_SBID' and digits", r"_SBID(?P<sb>\d+)", optional=True),
        Piece("'_OBSID' and digits", r"_OBSID(?P<obs>\d+)", optional=True),
        Piece("'_RUNID' and digits", r"_RUNID(?P<run>\d+)", optional=True),
        Piece("'_' and a type", rf"_(?P<type>{_LABELLED}[A-Z][A-Z0-9]*)", optional=True),
        Piece("'_' and a subtype", rf"_(?P<subtype>{_LABELLED}[A-Z][A-Z0-9]*)", optional=True),
        Piece("'_CHUNK' or '_FILE' and digits", r"_(?P<counter>CHUNK|FILE)(?P<digits>\d+)", optional=True),
        Piece("an extension: .fits.fz, .fits or .nc", r"(?P<extension>\.fits\.fz|\.fits|\.nc)\Z"),
    ]
)
_FIRST = Grammar(
    [
        Piece("Tel and three digits", r"Tel(?P<owner_digits>\d{3})"),
        Piece("'_' and the source, as in SDH_3001", r"_(?P<source>[A-Z]+_\d+)(?=_)"),
        Piece("'_' and a date as in 20231003T204445", r"_(?P<stamp>\d{8}T\d{6})"),
        Piece("'_sbid' and digits", r"_sbid(?P<sb>\d+)"),
        Piece("'_obid' and digits", r"_obid(?P<obs>\d+)"),
        Piece("'_' and the digits of the chunk", r"_(?P<digits>\d+)"),
        Piece("the extension .fits.fz", r"(?P<extension>\.fits\.fz)\Z"),
    ]
)


@attrs.frozen(kw_only=True)
class AcadaName:
    """A parsed file name; digits are kept as written, so that it can be restored.

    Attributes
    ----------
    owner, owner_id
        ``SUB``, ``TEL``, ``AUX`` or ``ACE``, and its number: a subarray, a telescope, a device.
    source
        The stream of the acquisition, e.g. ``SDH0001``.
    start
        UTC time stamp of the file; midnight where only a date is given.
    has_time
        Whether the time stamp has a time of day.
    sb, obs, run
        Digits of scheduling block, observation block and local run; empty where absent.
    type, subtype
        Further words, e.g. ``TEL`` and ``SHOWER``; empty where absent.
    counter, count
        ``CHUNK`` or ``FILE`` and its digits; empty where absent.
    extension
        With its dot.
    is_first
        Whether the name has the form of release 1 of ACADA.

    Examples
    --------
    >>> text = "TEL001_SDH0001_20261121T221500_SBID2000000001_OBSID2000000002_TEL_SHOWER_CHUNK003.fits.fz"
    >>> name = AcadaName.parse(text)
    >>> name.owner_id, name.obs_id, name.chunk_id, name.stream.value
    (1, 2000000002, 3, 'telescope events')
    """

    owner: str
    owner_id: int
    source: str
    start: dt.datetime
    has_time: bool = True
    sb: str = ""
    obs: str = ""
    run: str = ""
    type: str = ""
    subtype: str = ""
    counter: str = ""
    count: str = ""
    extension: str = ".fits.fz"
    is_first: bool = False

    @classmethod
    def parse(cls, text: str) -> AcadaName:
        """Return the parts of `text`.

        Raises
        ------
        InvalidNameError
            If `text` is outside the grammar; the error points at the character and says what should stand there.
        """
        if text.startswith("Tel"):
            return cls._first(text)
        match = _NAME.match(text)
        owner, digits, source, stamp, sb, obs, run, kind, subtype, counter, count, extension = match.groups("")
        return cls(
            owner=owner,
            owner_id=int(digits),
            source=source,
            start=_instant(match, stamp),
            has_time=len(stamp) > 8,
            sb=sb,
            obs=obs,
            run=run,
            type=kind,
            subtype=subtype,
            counter=counter,
            count=count,
            extension=extension,
        )

    @classmethod
    def _first(cls, text: str) -> AcadaName:
        """Return the parts of a name of release 1."""
        match = _FIRST.match(text)
        digits, source, stamp, sb, obs, count, extension = match.groups()
        return cls(
            owner="TEL",
            owner_id=int(digits),
            source=source,
            start=_instant(match, stamp),
            sb=sb,
            obs=obs,
            counter="CHUNK",
            count=count,
            extension=extension,
            is_first=True,
        )

    def __str__(self) -> str:
        stamp = self.start.isoformat()[:19].replace("-", "").replace(":", "")
        if self.start.microsecond == LEAP_MICROSECOND:
            stamp = f"{stamp[:-2]}60"
        if self.is_first:
            labels = f"_sbid{self.sb}_obid{self.obs}_{self.count}"
            return f"Tel{self.owner_id:03d}_{self.source}_{stamp}{labels}{self.extension}"
        text = f"{self.owner}{self.owner_id:03d}_{self.source}_{stamp if self.has_time else stamp[:8]}"
        if self.sb:
            text += f"_SBID{self.sb}"
        if self.obs:
            text += f"_OBSID{self.obs}"
        if self.run:
            text += f"_RUNID{self.run}"
        if self.type:
            text += f"_{self.type}"
        if self.subtype:
            text += f"_{self.subtype}"
        return f"{text}_{self.counter}{self.count}{self.extension}" if self.counter else text + self.extension

    @property
    def sb_id(self) -> int | None:
        """The scheduling block."""
        return int(self.sb) if self.sb else None

    @property
    def obs_id(self) -> int | None:
        """The observation block."""
        return int(self.obs) if self.obs else None

    @property
    def chunk_id(self) -> int | None:
        """The place of the file in its stream."""
        return int(self.count) if self.counter == "CHUNK" else None

    @property
    def stream(self) -> Stream:
        """What the file holds."""
        if self.type == "MON":
            return Stream.MONITORING
        if self.owner == "TEL" and self.counter == "CHUNK" and self.type in {"", "TEL"}:
            return Stream.TELESCOPE_EVENTS
        if self.owner == "SUB" and self.type == "SUBARRAY":
            return Stream.SUBARRAY_EVENTS
        if self.owner == "SUB" and self.type == "TEL":
            return Stream.TELESCOPE_TRIGGERS
        return Stream.OTHER


def _instant(match: re.Match[str], stamp: str) -> dt.datetime:
    """Return the time stamp of a name, UTC, or the error that points at it."""
    try:
        if stamp[9:11] > "23":
            raise ValueError  # later versions of Python take 24 for the next day
        return parse_utc(stamp if len(stamp) > 8 else stamp + "T000000")
    except ValueError:
        raise InvalidNameError(match.string, f"{stamp} is no date", match.start("stamp")) from None
