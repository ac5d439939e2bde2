"""What a file is, from its name and its content together."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.ingest.inbox import LocalFile
from ctao_bdms.model import (
    ArrayElement,
    DataLevel,
    Defect,
    DefectKind,
    FileFacts,
    Night,
    ProductMetadata,
    Site,
)
from ctao_bdms.naming import AcadaPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.model import Value

__all__ = ["Described", "describe"]


@attrs.frozen(kw_only=True)
class Described:
    """A file of which all is known that the file itself can tell.

    Attributes
    ----------
    file
        Where it lies.
    facts
        What its bytes say; None if they were not read, because the name alone keeps it out.
    metadata
        What is known of the product.
    defects
        Everything that keeps it out of the archive, from name, bytes and metadata.
    """

    file: LocalFile
    facts: FileFacts | None
    metadata: ProductMetadata
    defects: tuple[Defect, ...]


def describe(file: LocalFile, facts: FileFacts | None) -> Described:
    """Put together what name and content say, and collect all that is wrong.

    Parameters
    ----------
    file
        The file; without a name of the grammar it is described as invalid.
    facts
        What one pass over its bytes said; None if there was none.
    """
    defects = list(file.defects)
    path: AcadaPath | None = None
    if file.lfn is not None:
        try:
            path = AcadaPath.parse(file.lfn)
        except InvalidNameError as error:
            defects.append(Defect(DefectKind.INVALID_NAME, str(error)))
    if facts is None:
        return Described(file=file, facts=None, metadata=ProductMetadata({}), defects=tuple(defects))
    defects += facts.defects
    metadata, faults = ProductMetadata.from_keywords(facts.keywords)
    if facts.hdus and not _is_unreadable(facts):
        defects += faults
        defects += metadata.missing(DataLevel.DL0)
        if path is not None:
            defects += _disagreements(path, metadata)
    if "sha256" in facts.digests:
        metadata = ProductMetadata({**metadata, "integrity__sha256": facts.sha256})
    return Described(file=file, facts=facts, metadata=metadata, defects=tuple(defects))


def _is_unreadable(facts: FileFacts) -> bool:
    """Whether the bytes are so broken that what their headers lack says nothing."""
    kinds = {defect.kind for defect in facts.defects}
    return bool(kinds & {DefectKind.TRUNCATED, DefectKind.NOT_A_PRODUCT, DefectKind.EMPTY, DefectKind.STRUCTURE})


def _disagreements(path: AcadaPath, metadata: ProductMetadata) -> Iterator[Defect]:
    """Yield a defect for each value that the path or name gives otherwise than the content."""
    name = path.name
    expected: list[tuple[str, str, Value | None]] = [
        ("the directory", "data__level", "DL0"),
        ("the directory", "instance__observing_night", path.night.date),
        ("the name", "instance__obs_id", name.obs_id),
        ("the name", "acquisition__sb_id", name.sb_id),
        ("the name", "instance__chunk_id", name.chunk_id),
        ("the name", "instance__ae_id", name.owner_id if name.owner == "TEL" else None),
        ("the name", "instance__subarray_id", name.owner_id if name.owner == "SUB" else None),
        ("the name", "instance__data_source", name.source),
    ]
    if name.owner == "TEL":
        expected.append(("the directory", "instance__ae_id", _telescope(path.element)))
    for where, key, value in expected:
        if value is not None and key in metadata and metadata[key] != value:
            message = f"{where} says {key} = {value}, the content says {metadata[key]}"
            yield Defect(DefectKind.NAME_MISMATCH, message)
    if name.has_time:
        yield from _disagreements_in_time(path, metadata)


def _disagreements_in_time(path: AcadaPath, metadata: ProductMetadata) -> Iterator[Defect]:
    """Yield a defect if the time in the name is not of the directory's night, or not the begin of the data."""
    named = path.name.start
    begin = metadata.get("observation__coverage__time__t_min")
    site = metadata.get("instance__site_id")
    if site in {known.value for known in Site}:
        night = _night_of(named, Site(str(site)))
        if night != path.night:
            message = f"the name's time lies in the night {night or 'of no calendar'}, the directory says {path.night}"
            yield Defect(DefectKind.NAME_MISMATCH, message)
    if isinstance(begin, dt.datetime) and abs(begin - named) >= dt.timedelta(seconds=1):
        message = f"the name says that the data begin at {named:%FT%T}, the content says {begin}"
        yield Defect(DefectKind.NAME_MISMATCH, message)


def _night_of(instant: dt.datetime, site: Site) -> Night | None:
    """Return the night of `instant`; None at the very end of the calendar, where it has none."""
    try:
        return Night.of(instant, site)
    except OverflowError:
        return None


def _telescope(element: str) -> int | None:
    """Return the number of the telescope that a directory is called after."""
    try:
        return ArrayElement.parse(element).id
    except ValueError:
        return None
