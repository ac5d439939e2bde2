"""Ingest quarantined files again, as they are or with accepted defects."""

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
    why
        The reason, for the record.
    on_left
        Called with a case that cannot be restored, and the error; by default the error is raised.

    Raises
    ------
    UsageError
        If another file or a trigger exists at the path of a case.
    """
    action = OperatorAction.now("retry", site.now(), why)
    rest = iter(cases)
    outcomes: list[Outcome] = []
    while chunk := list(islice(rest, _CHUNK)):
        outcomes += _ingest_again(site, quarantine, chunk, action, lambda item, _case: item, on_left)
    return IngestReport(outcomes)


def accept(site: SiteIngest, quarantine: Quarantine, case: Case, why: str) -> IngestReport:
    """Ingest a quarantined file with the defects in its case, and no others.

    Parameters
    ----------
    why
        The reason, for the record and the product's ``disclaimer``.

    Raises
    ------
    UsageError
        If there is no reason, or a defect that cannot be accepted, for example a conflict.
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
    """Restore, read, pass through `judged`, and ingest files; close their cases."""
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
        # The producer's statement may be in the trigger, which is in the case.
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
    """Return `item` without its defects, if all are accepted.

    Level and night are taken from the path if the headers lack them. The disclaimer of the product records the
    accepted defects, the operator and the reason.
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
