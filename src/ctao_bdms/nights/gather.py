"""Gather a night report from storage, archive, quarantine and journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ctao_bdms.catalogue import Comparison, Condition, FileCatalogue, MetadataQuery, ProductCatalogue, StorageCatalogue
from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import DataLevel, Lfn
from ctao_bdms.naming import blocks_pattern, is_beside_tree, lfn_of_path, scope_of
from ctao_bdms.naming.users import USER_AREA
from ctao_bdms.nights.classify import Archive, FileRecords, classify, in_quarantine
from ctao_bdms.nights.report import NightReport
from ctao_bdms.nights.storage import stored_files
from ctao_bdms.nights.values import Lag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ctao_bdms.journal import Entry
    from ctao_bdms.model import Night, Rse, Site
    from ctao_bdms.quarantine import Case
    from ctao_bdms.replication import Replication

__all__ = ["gather_report"]


class _NightCatalogue(ProductCatalogue, FileCatalogue, StorageCatalogue, Protocol):
    """The catalogue verbs that a night report needs; none of them changes it."""


def gather_report(
    catalogue: _NightCatalogue,
    onsite: Rse,
    site: Site,
    night: Night,
    *,
    root: Path,
    vo: str,
    scope: str = "",
    cases: Iterable[Case],
    entries: Iterable[Entry] = (),
    replication: Replication,
) -> NightReport:
    """Return the report of a night.

    Parameters
    ----------
    onsite, site, night
        The storage element on site, and the night there.
    root
        The root of its storage, links resolved.
    vo, scope
        What is looked at: files below ``/<vo>/<scope>``; without a scope all of the VO but the users' own.
    entries
        What the journal says of the night.
    """
    bases = [root / vo / scope] if scope else _areas(root / vo)
    here = [entry for entry in entries if any(map(entry.path.is_relative_to, bases))]
    quarantined = [c for c in cases if c.night == str(night) and any(map(c.path.is_relative_to, bases))]
    known = _local_records(root, bases, night, here, quarantined)
    names = {records.lfn for records in known.values() if records.lfn is not None}
    names |= _products(catalogue, (scope,) if scope else tuple(catalogue.scopes()), site, night)
    for lfn, file in catalogue.files(sorted(names)).items():
        _about(known, root.joinpath(*lfn.parts), root).archived = file
    archive = Archive(
        onsite=onsite,
        elements=catalogue.rses(),
        centres=replication.placement_of_night(site, night),
        blocks={
            state.did: state
            for area in sorted({scope_of(str(e.lfn)) for e in known.values() if e.archived is not None})
            for state in replication.states(area, blocks_pattern(vo, area, site, night))
        },
    )
    classified = (classify(records, archive) for records in known.values())
    files = [*map(in_quarantine, quarantined), *(file for file in classified if file is not None)]
    return NightReport(site, night, files, archive.centres, _lags(here))


def _local_records(
    root: Path, bases: Iterable[Path], night: Night, entries: Iterable[Entry], cases: Iterable[Case]
) -> dict[Path, FileRecords]:
    """Return what storage, journal and quarantine have of a night, by path."""
    known: dict[Path, FileRecords] = {}
    for base in (base for base in bases if base.is_dir()):
        for path, stored in stored_files(base, night).items():
            lfn = _lfn(path, root)
            if lfn is None or not is_beside_tree(lfn):  # the manifest of a block is no product
                _about(known, path, root).stored = stored
    for entry in entries:
        _about(known, entry.path, root).entry = entry
    for case in cases:
        _about(known, case.path, root).is_in_quarantine = True
    return known


def _about(known: dict[Path, FileRecords], path: Path, root: Path) -> FileRecords:
    """Return the records of a file, which are empty at first."""
    return known.setdefault(path, FileRecords(path=path, lfn=_lfn(path, root)))


def _products(catalogue: ProductCatalogue, scopes: tuple[str, ...], site: Site, night: Night) -> set[Lfn]:
    """Return the names of the products of the night in the archive."""
    conditions = (
        Condition("data__level", Comparison.EQ, (str(DataLevel.DL0),)),
        Condition("instance__observing_night", Comparison.EQ, (night.date,)),
    )
    found = catalogue.find(MetadataQuery(scopes=scopes, conditions=conditions))
    return {product.lfn for product in found if product.metadata.get("instance__site_id", site) == site}


def _areas(folder: Path) -> list[Path]:
    """Return the directories of all scopes but the users' own, known to the archive or not."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name != USER_AREA)


def _lfn(path: Path, root: Path) -> Lfn | None:
    """Return the archive name for a path; None if it cannot have one."""
    try:
        lfn = lfn_of_path(path, root)
        scope_of(lfn.text)
    except InvalidNameError:
        return None
    return lfn


def _lags(entries: Iterable[Entry]) -> Mapping[str, Lag]:
    """Return the lags of files whose times the journal has."""
    steps: dict[str, list[float]] = {"registered": [], "replicated": []}
    for entry in entries:
        for step, seconds in steps.items():
            done = getattr(entry, step)
            if entry.triggered is not None and done is not None:
                seconds.append(max(0.0, (done - entry.triggered).total_seconds()))
    lags = {f"trigger to {step}": Lag.of(seconds) for step, seconds in steps.items()}
    return {step: lag for step, lag in lags.items() if lag is not None}
