"""Doing what a plan says: a loop without decisions, each step idempotent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.ingest.report import IngestReport, Outcome, Status

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from ctao_bdms.catalogue import Register
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.ingest.plan import Plan
    from ctao_bdms.ingest.quarantine import Quarantine
    from ctao_bdms.model import Lfn

__all__ = ["execute"]


def execute(
    plan: Plan,
    items: Sequence[Described],
    catalogue: Register,
    quarantine: Quarantine,
    now: Callable[[], dt.datetime],
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> IngestReport:
    """Do what `plan` says with `items`, and say what became of each file.

    A file's trigger is removed once the file is in the archive.

    Parameters
    ----------
    plan
        What is to be done.
    items
        The files that it was made for.
    catalogue
        Where files are registered.
    quarantine
        Where rejected files go.
    now
        The clock, for the reason documents.
    on_outcome
        Called with each outcome as soon as it is true.
    """
    by_name: Mapping[Lfn, Described] = {item.file.lfn: item for item in items if item.file.lfn is not None}
    outcomes: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        on_outcome(outcome)

    for reject in plan.rejected:
        case = quarantine.admit(reject, now()) if reject.quarantine else None
        status = Status.REFUSED if case is None else Status.QUARANTINED
        done(Outcome.of(reject.item, status, defects=reject.defects, case=case))
    for lfn in plan.known:
        _release(by_name[lfn])
        done(Outcome.of(by_name[lfn], Status.KNOWN))
    catalogue.ensure_directories([file.lfn for block in plan.blocks for file in block.files])
    for block in plan.blocks:
        catalogue.open_block(block.did)
        catalogue.register(block.did, plan.rse, block.files)
        catalogue.close_block(block.did)
        for file in block.files:
            _release(by_name[file.lfn])
            done(Outcome.of(by_name[file.lfn], Status.REGISTERED, block=block.did))
    return IngestReport(outcomes)


def _release(item: Described) -> None:
    """Remove the trigger of a file that is in the archive."""
    if item.file.trigger is not None:
        item.file.trigger.unlink(missing_ok=True)
