"""Describe a product, and derive its name in the archive.

Metadata given by the user take precedence over the file name, and the file name over the content. A product with
contradictions among them is rejected.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidMetadataError, InvalidNameError
from ctao_bdms.inbox import LocalFile
from ctao_bdms.ingest import CheckPolicy, Described, Severity
from ctao_bdms.ingest.describe import is_unreadable, ledger
from ctao_bdms.model import (
    DataLevel,
    Defect,
    DefectKind,
    Lfn,
    Night,
    ObservationId,
    ProductMetadata,
    Site,
    Verdict,
    implausibilities,
)
from ctao_bdms.naming import DppsName, DppsPath, UserPath, is_dpps_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path, PurePath

    from ctao_bdms.model import FileFacts, NewProduct, Value

__all__ = ["LENIENT", "describe_product"]

#: Writers of products differ in the association of a file; the name decides, and the report has a warning.
LENIENT = CheckPolicy(kind=Severity.WARNING)

#: Metadata keys that are compared between user, name and content, each with its check.
_COMPARED = (
    ("level", "data__level"),
    ("kind", "data__division"),
    ("kind", "data__association"),
    ("kind", "data__type"),
    ("night", "instance__observing_night"),
    ("obs_id", "instance__obs_id"),
    ("sb_id", "acquisition__sb_id"),
    ("chunk", "instance__chunk_id"),
    ("source", "instance__data_source"),
    ("element", "instance__ae_id"),
    ("element", "instance__subarray_id"),
    ("element", "instance__site_id"),
)
_BEGIN = "observation__coverage__time__t_min"
_EXTENSION = re.compile(r"(?:\.[a-z][a-z0-9]*){1,3}\Z", re.ASCII)
_TELESCOPES = {Site.NORTH, Site.SOUTH}


def describe_product(
    path: Path, inside: PurePath, facts: FileFacts, product: NewProduct, vo: str, policy: CheckPolicy = LENIENT
) -> Described:
    """Combine all metadata of a file to be put, and collect all defects.

    Parameters
    ----------
    inside
        Its path relative to the folder that was given, or its name.
    product
        The metadata given by the user.
    vo
        The virtual organisation of the archive tree.
    policy
        The severity of differences between user, name and content.
    """
    defects = [_through_link(path, defect) for defect in facts.defects]
    warnings: list[Defect] = []
    content, _ = ProductMetadata.from_keywords(facts.keywords)
    named = _named(path.name, defects)
    known: dict[str, Value] = {**content, **named, **product.metadata}
    if not is_unreadable(facts):
        required, optional = ProductMetadata.faults_by_need(facts.keywords, _level(known))
        (warnings if product.user else defects).extend(required)
        warnings += optional
    found = [*_disagreements(named, product.metadata, content), *_implausible(known, product, warnings)]
    for check, defect in () if is_unreadable(facts) else found:
        severity = policy.severity_of(check)
        if severity is not Severity.IGNORE:
            (defects if severity is Severity.ERROR else warnings).append(defect)
    if facts.verdict is Verdict.UNCHECKED:
        message = "not every part carries a checksum of its own: damage before this moment cannot be seen"
        warnings.append(Defect(DefectKind.UNCHECKED, message))
    if not product.user:
        known |= _derived(known)
        defects += _missing(known)
    lfn = None
    if not defects:
        try:
            lfn = _lfn(path, inside, known, product, vo)
        except (InvalidNameError, ValueError) as error:
            defects.append(Defect(DefectKind.INVALID_NAME, str(error)))
    if lfn is not None and named and not product.user and lfn.name != path.name:
        message = f"by all that is known of it, it is called {lfn.name}"
        defects.append(Defect(DefectKind.NAME_MISMATCH, message))
    return Described(
        file=LocalFile(path=path, lfn=lfn, is_link=path.is_symlink()),
        facts=facts,
        metadata=ProductMetadata({**known, **ledger(facts)}),
        defects=tuple(defects),
        warnings=tuple(warnings),
    )


def _through_link(path: Path, defect: Defect) -> Defect:
    """Return a defect with the target of the link in its message."""
    if defect.kind not in {DefectKind.MISSING, DefectKind.NOT_A_FILE, DefectKind.UNREADABLE} or not path.is_symlink():
        return defect
    return attrs.evolve(defect, message=f"it is a link to {path.readlink()}: {defect.message}")


def _named(text: str, defects: list[Defect]) -> Mapping[str, Value]:
    """Return the metadata in a file name; append errors to `defects`."""
    if not is_dpps_name(text):
        return {}
    try:
        return ProductMetadata(DppsName.parse(text).metadata)
    except (InvalidNameError, InvalidMetadataError) as error:
        defects.append(Defect(DefectKind.INVALID_NAME, str(error)))
        return {}


def _disagreements(
    named: Mapping[str, Value], said: Mapping[str, Value], content: Mapping[str, Value]
) -> Iterator[tuple[str, Defect]]:
    """Yield a defect for each contradiction, with the name of its check."""
    for check, key in _COMPARED:
        voices = [(who, each[key]) for who, each in _voices(named, said, content) if key in each]
        for who, value in voices[1:]:
            if value != voices[0][1]:
                message = f"{voices[0][0]} says {key} = {voices[0][1]}, {who} says {value}"
                yield check, Defect(DefectKind.NAME_MISMATCH, message)


def _implausible(known: dict[str, Value], product: NewProduct, warnings: list[Defect]) -> Iterator[tuple[str, Defect]]:
    """Yield a defect for each impossible value, with the name of its check.

    Users may keep any files in their own area, for example of other observatories: there it is a warning, and the value
    is dropped.
    """
    for check, key, defect in list(implausibilities(known)):
        if product.user:
            warnings.append(defect)
            known.pop(key, None)
        else:
            yield check, defect


def _voices(
    named: Mapping[str, Value], said: Mapping[str, Value], content: Mapping[str, Value]
) -> tuple[tuple[str, Mapping[str, Value]], ...]:
    return ("what was said", said), ("the name", named), ("the content", content)


def _derived(known: Mapping[str, Value]) -> dict[str, Value]:
    """Derive site and night from observation block and start of the data."""
    derived: dict[str, Value] = {}
    obs_id, site = known.get("instance__obs_id"), known.get("instance__site_id")
    if site is None and isinstance(obs_id, int):
        try:
            creator = ObservationId.of(obs_id).creator
        except ValueError:
            return derived
        if creator.site in _TELESCOPES:
            site = derived["instance__site_id"] = creator.site.value
    begin = known.get(_BEGIN)
    observing = {each.value for each in _TELESCOPES}
    if "instance__observing_night" not in known and isinstance(begin, dt.datetime) and site in observing:
        derived["instance__observing_night"] = Night.of(begin, Site(str(site))).date
    return derived


def _level(known: Mapping[str, Value]) -> DataLevel:
    """Return the data level of a product; DL1 if it is unknown."""
    levels = {each.value: each for each in DataLevel}
    return levels.get(str(known.get("data__level")), DataLevel.DL1)


def _missing(known: Mapping[str, Value]) -> Iterator[Defect]:
    """Yield a defect for missing metadata, and for raw data, which enter on site."""
    level = _level(known)
    if level in {DataLevel.R0, DataLevel.R1, DataLevel.DL0}:
        yield Defect(DefectKind.INVALID_METADATA, f"{level} is raw: it enters the archive on site, by an ingest")
    wanted = {"curation__release": "the release", "instance__site_id": "the site"}
    if "instance__obs_id" in known:
        wanted["instance__observing_night"] = "the observing night"
    yield from ProductMetadata(known).missing(level)
    for key, what in wanted.items():
        if key not in known:
            yield Defect(DefectKind.MISSING_METADATA, f"{what} ({key}) stands in neither name nor content; say it")


def _lfn(path: Path, inside: PurePath, known: Mapping[str, Value], product: NewProduct, vo: str) -> Lfn:
    """Return the logical file name of a product."""
    if product.user:
        rest = "/".join([product.folder, *inside.parts] if product.folder else inside.parts)
        return UserPath(vo=vo, username=product.user, rest=rest).lfn
    found = _EXTENSION.search(path.name)
    if found is None:
        raise InvalidNameError(path.name, "a product has an extension that says its format, as .h5 or .fits.gz")
    return DppsPath.of(known, vo, product.scope, extension=found[0]).lfn
