"""Compare name and content of a file, with a configurable severity for each check."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import ArrayElement, Defect, DefectKind, Night, Site, implausibilities
from ctao_bdms.naming import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.model import FileFacts, ProductMetadata, Value
    from ctao_bdms.naming import AcadaPath

__all__ = ["CheckPolicy", "Severity", "failed_checks"]


class Severity(StrEnum):
    """The consequence of a failed check."""

    #: The file does not enter the archive.
    ERROR = "error"
    #: It enters, and the report says so.
    WARNING = "warning"
    #: The check is ignored.
    IGNORE = "ignore"


@attrs.frozen(kw_only=True)
class CheckPolicy:
    """The severity of each check; by default all are errors, as DL0 requires.

    Attributes
    ----------
    level
        The data level of the content is that of the directory.
    night
        Content and time in the name are of the night of the directory.
    obs_id, sb_id, chunk, source
        Observation block, scheduling block, chunk number and stream are those in the name.
    element
        Telescope or subarray are those in name and directory.
    start
        The data begin at the time in the name, to the second.
    kind
        The tables are those of the stream in the name, and of ``data__association``.
    order
        Ranges of time, energy and elevation do not end before they begin.
    plausible
        Every value is within the bounds in the table of metadata.
    """

    level: Severity = Severity.ERROR
    night: Severity = Severity.ERROR
    obs_id: Severity = Severity.ERROR
    sb_id: Severity = Severity.ERROR
    chunk: Severity = Severity.ERROR
    source: Severity = Severity.ERROR
    element: Severity = Severity.ERROR
    start: Severity = Severity.ERROR
    kind: Severity = Severity.ERROR
    order: Severity = Severity.ERROR
    plausible: Severity = Severity.ERROR

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the checks."""
        return tuple(field.name for field in attrs.fields(cls))

    def severity_of(self, check: str) -> Severity:
        """Return the severity of the check called `check`."""
        severity: Severity = getattr(self, check)
        return severity


_KINDS = {
    Stream.TELESCOPE_EVENTS: "DL0v1 Telescope",
    Stream.SUBARRAY_EVENTS: "DL0v1 Subarray",
    Stream.TELESCOPE_TRIGGERS: "DL0v1 Trigger",
}
_ASSOCIATIONS = {"DL0v1 Telescope": "Telescope", "DL0v1 Subarray": "Subarray", "DL0v1 Trigger": "Subarray"}
_BEGIN = "observation__coverage__time__t_min"


def failed_checks(path: AcadaPath | None, facts: FileFacts, metadata: ProductMetadata) -> Iterator[tuple[str, Defect]]:
    """Yield a defect for each failed check, with its name in `CheckPolicy`.

    Parameters
    ----------
    path
        The parsed path; None if it does not follow the grammar.
    metadata
        The metadata in the headers of the file.
    """
    if path is not None:
        yield from _with_name(path, metadata)
        yield from _in_time(path, metadata)
        expected = _KINDS.get(path.name.stream)
        if expected and facts.kind and facts.kind != expected:
            yield "kind", _mismatch(f"the name says that these are {expected} data, the tables are {facts.kind}")
    association = _ASSOCIATIONS.get(facts.kind)
    said = metadata.get("data__association")
    if association and said is not None and said != association:
        yield "kind", _mismatch(f"the content says data__association = {said}, but its tables are {facts.kind}")
    for check, _key, defect in implausibilities(metadata):
        yield check, defect


def _mismatch(message: str) -> Defect:
    return Defect(DefectKind.NAME_MISMATCH, message)


def _with_name(path: AcadaPath, metadata: ProductMetadata) -> Iterator[tuple[str, Defect]]:
    """Yield a defect for each value that differs between path and content."""
    name = path.name
    expected: list[tuple[str, str, str, Value | None]] = [
        ("level", "the directory", "data__level", "DL0"),
        ("night", "the directory", "instance__observing_night", path.night.date),
        ("obs_id", "the name", "instance__obs_id", name.obs_id),
        ("sb_id", "the name", "acquisition__sb_id", name.sb_id),
        ("chunk", "the name", "instance__chunk_id", name.chunk_id),
        ("element", "the name", "instance__ae_id", name.owner_id if name.owner == "TEL" else None),
        ("element", "the name", "instance__subarray_id", name.owner_id if name.owner == "SUB" else None),
        ("source", "the name", "instance__data_source", name.source),
    ]
    if name.owner == "TEL":
        expected.append(("element", "the directory", "instance__ae_id", _telescope(path.element)))
    for check, where, key, value in expected:
        if value is not None and key in metadata and metadata[key] != value:
            yield check, _mismatch(f"{where} says {key} = {value}, the content says {metadata[key]}")


def _in_time(path: AcadaPath, metadata: ProductMetadata) -> Iterator[tuple[str, Defect]]:
    """Compare the time in the name with the night and the start of the data."""
    if not path.name.has_time:
        return
    named = path.name.start
    begin = metadata.get(_BEGIN)
    site = metadata.get("instance__site_id")
    if site in {known.value for known in Site}:
        night = _night_of(named, Site(str(site)))
        if night != path.night:
            where = night or "of no calendar"
            yield "night", _mismatch(f"the name's time lies in the night {where}, the directory says {path.night}")
    if isinstance(begin, dt.datetime) and abs(begin - named) >= dt.timedelta(seconds=1):
        message = f"the name says that the data begin at {named:%FT%T}, the content says {begin}"
        yield "start", _mismatch(message)


def _night_of(instant: dt.datetime, site: Site) -> Night | None:
    """Return the night of `instant`; None at the end of the calendar."""
    try:
        return Night.of(instant, site)
    except OverflowError:
        return None


def _telescope(element: str) -> int | None:
    """Return the telescope ID in the name of a directory; None if there is none."""
    try:
        return ArrayElement.parse(element).id
    except ValueError:
        return None
