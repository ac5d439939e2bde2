"""Ingest files from quarantine again: as they are, or in spite of the defects that an operator accepts."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError, UsageError
from ctao_bdms.ingest.report import IngestReport, Status
from ctao_bdms.model import ProductMetadata
from ctao_bdms.naming import AcadaPath
from ctao_bdms.quarantine import (
    ACCEPTABLE,
    OperatorAction,
    close_case,
    require_acceptable,
    restore_without_trigger,
    tell_outcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ctao_bdms.inbox import LocalFile
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.ingest.report import Outcome
    from ctao_bdms.ingest.site_ingest import SiteIngest
    from ctao_bdms.model import Defect
    from ctao_bdms.quarantine import Case, Quarantine

__all__ = ["accept", "retry"]

#: How many files are restored before they are read: an interruption leaves so many in two places.
_CHUNK = 500


def retry(
    site: SiteIngest,
    quarantine: Quarantine,
    cases: Iterable[Case],
    why: str = "",
    *,
    on_left: Callable[[Case, UsageError], None] | None = None,
) -> IngestReport:
    """Restore files from quarantine and ingest them again.

    Parameters
    ----------
    site, quarantine
        How files are ingested, and the quarantine that holds the cases.
    cases
        The cases.
    why
        The reason, for the record.
    on_left
        Called with a case that stays as it is, and why; by default that is an error.

    Raises
    ------
    UsageError
        If another file or a trigger stands at the old place of one.
    """
    action = OperatorAction.now("retry", site.now(), why)
    rest = iter(cases)
    outcomes: list[Outcome] = []
    while chunk := list(islice(rest, _CHUNK)):
        outcomes += _ingest_again(site, quarantine, chunk, action, lambda item, _case: item, on_left)
    return IngestReport(outcomes)


def accept(site: SiteIngest, quarantine: Quarantine, case: Case, why: str) -> IngestReport:
    """Ingest a file from quarantine in spite of the defects that its case names; other defects still keep it out.

    Parameters
    ----------
    site, quarantine, case
        How files are ingested, the quarantine, and the case in it.
    why
        The reason, for the record and the product's ``disclaimer``.

    Raises
    ------
    UsageError
        If there is no reason, or a defect that nobody can accept, a conflict for one.
    """
    if not why.strip():
        raise UsageError("a file is accepted for a reason; say which")
    require_acceptable(case)
    action = OperatorAction.now("accept", site.now(), why)
    return _ingest_again(site, quarantine, [case], action, lambda item, case: _accepted(item, case.defects, action))


def _ingest_again(
    site: SiteIngest,
    quarantine: Quarantine,
    cases: Iterable[Case],
    action: OperatorAction,
    judged: Callable[[Described, Case], Described],
    on_left: Callable[[Case, UsageError], None] | None = None,
) -> IngestReport:
    """Ingest files from quarantine, read anew and then `judged`; a case ends when its file has its outcome."""
    by_path: dict[Path, Case] = {}
    files: list[LocalFile] = []
    for case in cases:
        try:
            if case.path in by_path:
                raise UsageError(f"case {case.id} is about the same place as case {by_path[case.path].id}")
            (file,) = site.find([restore_without_trigger(quarantine, case, action)])
        except UsageError as error:
            if on_left is None:
                raise
            on_left(case, error)
            continue
        by_path[file.path] = case
        # What the producer said of the file stands in the trigger that the case keeps.
        files.append(attrs.evolve(file, trigger=case.kept_trigger))
    items = [
        judged(attrs.evolve(item, file=attrs.evolve(item.file, trigger=case.trigger)), case)
        for item, case in zip(site.read(files), by_path.values(), strict=True)
    ]

    def told(outcome: Outcome) -> None:
        case = by_path[outcome.path]
        tell_outcome(
            quarantine.folder,
            case.id,
            outcome.status.value,
            outcome.path,
            site.now(),
            block=outcome.block,
            into=outcome.case,
        )
        if outcome.status is not Status.REFUSED:
            close_case(quarantine, case)

    return site.register(items, quarantine, told)


def _accepted(item: Described, defects: Iterable[Defect], action: OperatorAction) -> Described:
    """Return `item` as it enters the archive in spite of `defects`.

    Defects of other kinds still keep it out. What the headers do not say of level and night is taken from the path, and
    the disclaimer of the product says what was accepted, by whom and why.
    """
    kinds = {defect.kind for defect in defects} & ACCEPTABLE
    try:
        path = None if item.file.lfn is None else AcadaPath.parse(item.file.lfn)
    except InvalidNameError:
        path = None
    if path is None or item.file.lfn is None or not {defect.kind for defect in item.defects} <= kinds:
        return item
    found = ", ".join(dict.fromkeys(defect.kind.value for defect in item.defects))
    metadata = {"data__level": "DL0", "instance__observing_night": path.night.date, **item.metadata}
    if found:
        metadata["disclaimer"] = f"accepted by {action.who} on {action.when:%F} in spite of: {found}. {action.why}"
    return attrs.evolve(item, defects=(), metadata=ProductMetadata(metadata))
