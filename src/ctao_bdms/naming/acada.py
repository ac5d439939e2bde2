"""Names of the files that the array control and data acquisition (ACADA) writes.

Grammar (ACADA-DPPS interface, table 6, and published samples)::

    path   = "/" vo "/" scope "/DL0/" element "/" user ["/acada-adh"] "/" kind "/" YYYY "/" MM "/" DD "/" name
    name   = owner "_" source "_" date ["T" time] ["_SBID" n] ["_OBSID" n] ["_RUNID" n]
             ["_" type ["_" subtype]] ["_CHUNK" n | "_FILE" n] extension
    owner  = ("SUB" | "TEL" | "AUX" | "ACE") 3*digit
    source = 1*UPPER *digit

The date in the path is that of the observing night, the one in the name is the UTC time stamp of the file.
"""

from __future__ import annotations

import datetime as dt
import re
from enum import StrEnum

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Lfn, Night

__all__ = ["AcadaName", "AcadaPath", "Stream"]


class Stream(StrEnum):
    """What a file of the acquisition holds, as its name says."""

    TELESCOPE_EVENTS = "telescope events"
    SUBARRAY_EVENTS = "subarray events"
    TELESCOPE_TRIGGERS = "telescope triggers"
    MONITORING = "monitoring"
    OTHER = "other"


# Each piece: what it is called in an error, and its pattern. The optional ones are tried where they stand.
_PIECES: tuple[tuple[str, str, bool], ...] = (
    ("SUB, TEL, AUX or ACE and three digits", r"(?P<owner>SUB|TEL|AUX|ACE)(?P<owner_digits>\d{3})", False),
    ("'_' and the source, capitals and digits, as in SDH0001", r"_(?P<source>[A-Z]+\d*)(?=_)", False),
    ("'_' and a date as in 20261121 or 20261121T221500", r"_(?P<stamp>\d{8}(?:T\d{6})?)", False),
    ("'_SBID' and digits", r"_SBID(?P<sb>\d+)", True),
    ("'_OBSID' and digits", r"_OBSID(?P<obs>\d+)", True),
    ("'_RUNID' and digits", r"_RUNID(?P<run>\d+)", True),
    ("'_' and a type", r"_(?P<type>(?!CHUNK\d|FILE\d|SBID\d|OBSID\d|RUNID\d)[A-Z][A-Z0-9]*)", True),
    ("'_' and a subtype", r"_(?P<subtype>(?!CHUNK\d|FILE\d|SBID\d|OBSID\d|RUNID\d)[A-Z][A-Z0-9]*)", True),
    ("'_CHUNK' or '_FILE' and digits", r"_(?P<counter>CHUNK|FILE)(?P<counter_digits>\d+)", True),
    ("an extension: .fits.fz, .fits or .nc", r"(?P<extension>\.fits\.fz|\.fits|\.nc)\Z", False),
)
_NAME = re.compile("".join(f"(?:{pattern}){'?' if optional else ''}" for _, pattern, optional in _PIECES), re.ASCII)
_STEPS = tuple((what, re.compile(pattern, re.ASCII), optional) for what, pattern, optional in _PIECES)


@attrs.frozen(kw_only=True)
class AcadaName:
    """The name of one file, taken apart; digits are kept as written so that the name comes back exactly.

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

    @classmethod
    def parse(cls, text: str) -> AcadaName:
        """Return the parts of `text`.

        Raises
        ------
        InvalidNameError
            If `text` is outside the grammar; the error points at the character and says what should stand there.
        """
        match = _NAME.match(text)
        if match is None:
            raise _fault(text)
        part = match.groupdict(default="")
        stamp = part["stamp"]
        try:
            start = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%S" if "T" in stamp else "%Y%m%d").replace(tzinfo=dt.UTC)
        except ValueError:
            raise InvalidNameError(text, f"{stamp} is no date", match.start("stamp")) from None
        return cls(
            owner=part["owner"],
            owner_id=int(part["owner_digits"]),
            source=part["source"],
            start=start,
            has_time="T" in stamp,
            sb=part["sb"],
            obs=part["obs"],
            run=part["run"],
            type=part["type"],
            subtype=part["subtype"],
            counter=part["counter"],
            count=part["counter_digits"],
            extension=part["extension"],
        )

    def __str__(self) -> str:
        pieces = [
            f"{self.owner}{self.owner_id:03d}",
            self.source,
            f"{self.start.year:04d}{self.start:%m%dT%H%M%S}"[: 15 if self.has_time else 8],
        ]
        pieces += [
            label + digits for label, digits in (("SBID", self.sb), ("OBSID", self.obs), ("RUNID", self.run)) if digits
        ]
        pieces += [word for word in (self.type, self.subtype) if word]
        if self.counter:
            pieces.append(self.counter + self.count)
        return "_".join(pieces) + self.extension

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


def _fault(text: str) -> InvalidNameError:
    """Say where `text` leaves the grammar, and what should stand there."""
    position = 0
    wanted: list[str] = []
    for what, pattern, optional in _STEPS:
        match = pattern.match(text, position)
        if match is not None:
            position, wanted = match.end(), []
            continue
        wanted.append(what)
        if not optional:
            break
    return InvalidNameError(text, f"here should stand {' or '.join(wanted)}", position)


@attrs.frozen(kw_only=True)
class AcadaPath:
    """Where a file of the acquisition lies below the storage root.

    Attributes
    ----------
    vo, scope
        The first two components.
    element
        The array element, ``LSTN-01``, or ``ARRAY``.
    user
        The account of the acquisition that wrote it.
    handler
        ``acada-adh`` where the path has that component, else empty.
    kind
        ``events``, ``triggers`` or ``monitoring``, in one of the published spellings.
    night
        The observing night.
    name
        The file's own name.
    """

    vo: str
    scope: str
    element: str
    user: str
    handler: str = "acada-adh"
    kind: str
    night: Night
    name: AcadaName

    @classmethod
    def parse(cls, lfn: Lfn) -> AcadaPath:
        """Return the parts of `lfn`.

        Raises
        ------
        InvalidNameError
            If it is not a path of the acquisition; the error points at the component.
        """
        parts = lfn.parts
        if len(parts) not in {10, 11}:
            raise InvalidNameError(
                str(lfn), "a DL0 path is /<vo>/<scope>/DL0/<element>/<user>[/acada-adh]/<kind>/<YYYY>/<MM>/<DD>/<name>"
            )
        vo, scope, level, element, user, *middle, kind, year, month, day, text = parts
        for fits, index, wanted in (
            (level == "DL0", 2, "DL0"),
            (_ELEMENT.fullmatch(element), 3, "an array element as LSTN-01, or ARRAY"),
            (middle in ([], ["acada-adh"]), 5, "acada-adh"),
            (kind.lower() in _KINDS, len(parts) - 5, "events, triggers or monitoring"),
        ):
            if not fits:
                raise InvalidNameError(str(lfn), f"component {parts[index]!r} should be {wanted}", _offset(lfn, index))
        try:
            if [len(year), len(month), len(day)] != [4, 2, 2]:
                raise ValueError
            night = Night(dt.date(int(year), int(month), int(day)))
        except ValueError:
            reason = f"{year}/{month}/{day} is not the date of a night as YYYY/MM/DD"
            raise InvalidNameError(str(lfn), reason, _offset(lfn, len(parts) - 4)) from None
        try:
            name = AcadaName.parse(text)
        except InvalidNameError as error:
            position = _offset(lfn, len(parts) - 1) + (error.position or 0)
            raise InvalidNameError(str(lfn), error.reason, position) from error
        return cls(
            vo=vo, scope=scope, element=element, user=user, handler="".join(middle), kind=kind, night=night, name=name
        )

    @property
    def lfn(self) -> Lfn:
        """The path as a logical file name."""
        handler = [self.handler] if self.handler else []
        parts = [self.vo, self.scope, "DL0", self.element, self.user, *handler, self.kind]
        return Lfn("/" + "/".join([*parts, self.night.date.isoformat().replace("-", "/"), str(self.name)]))


_ELEMENT = re.compile(r"(?:[A-Z]{4}-\d{2}|ARRAY|array|TEL\d{3})", re.ASCII)
_KINDS = {"event", "events", "trigger", "triggers", "monitoring"}


def _offset(lfn: Lfn, index: int) -> int:
    """Return where component `index` of `lfn` begins."""
    return 1 + sum(len(part) + 1 for part in lfn.parts[:index])
