"""Execute a plan: register, quarantine, remove triggers; every step is idempotent.

Good files are registered first, so that errors in the quarantine do not delay them. An error that concerns one file
does not stop the others. A file that was replaced after it was read stays with its trigger for the next ingest.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ctao_bdms.blocks import close_block
from ctao_bdms.causes import cause_of
from ctao_bdms.errors import NoRoomError
from ctao_bdms.inbox import Stamp
from ctao_bdms.ingest.batches import Batches, Refused
from ctao_bdms.ingest.open_blocks import held_for_ever
from ctao_bdms.ingest.plan import Reject
from ctao_bdms.ingest.report import IngestReport, Outcome, Status
from ctao_bdms.integrity import SourceChangedError
from ctao_bdms.model import Defect, DefectKind

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from ctao_bdms.blocks import ClosingCatalogue
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.ingest.open_blocks import FirstRuleOf
    from ctao_bdms.ingest.plan import Plan, PlannedBlock
    from ctao_bdms.model import Did, FirstRule, Lfn
    from ctao_bdms.quarantine import Quarantine

__all__ = ["execute"]

_LOG = logging.getLogger(__name__)


def execute(
    plan: Plan,
    items: Sequence[Described],
    catalogue: ClosingCatalogue,
    batches: Batches,
    quarantine: Quarantine | None,
    now: Callable[[], dt.datetime],
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    *,
    first_rule: FirstRuleOf = held_for_ever,
) -> IngestReport:
    """Execute `plan`, and return the outcome of each file, in the order of `items`.

    The trigger of a file is removed after the file is in the archive.

    Parameters
    ----------
    items
        The files that the plan was made for.
    batches
        Registers the files.
    quarantine
        The quarantine for rejected files; None to leave them where they are.
    now
        The clock, for the reason documents.
    on_outcome
        Called with each outcome at once, so that it is known even if an error ends the execution.
    first_rule
        Returns the first rule of a block: it protects each file from its registration on.
    """
    by_name: Mapping[Lfn, Described] = {item.file.lfn: item for item in items if item.file.lfn is not None}
    outcomes: dict[int, Outcome] = {}

    def done(item: Described, outcome: Outcome) -> None:
        outcomes[id(item)] = outcome
        on_outcome(outcome)

    for lfn, block_did in plan.known.items():
        item = by_name[lfn]
        done(item, _released(item, Status.KNOWN, block_did))
    rejects = list(plan.rejected)
    batches.prepare([file for block in plan.blocks for file in block.files])
    for block in plan.blocks:
        opening = partial(_open, catalogue, block.did, first_rule(block.did, plan.rse))
        rejects += _fill(block, plan.rse, by_name, catalogue, batches, done, opening)
    for reject in rejects:
        done(reject.item, _reject(reject, quarantine, now()))
    return IngestReport(outcomes[id(item)] for item in items if id(item) in outcomes)


def _fill(
    block: PlannedBlock,
    rse: str,
    by_name: Mapping[Lfn, Described],
    catalogue: ClosingCatalogue,
    batches: Batches,
    done: Callable[[Described, Outcome], None],
    opening: Callable[[], None],
) -> list[Reject]:
    """Open, fill and close a block; return the files that were not registered."""
    as_read, rejects = [], []
    for file in block.files:
        item = by_name[file.lfn]
        if _is_as_read(item):
            as_read.append(file)
        else:
            rejects.append(_changed(item))
    strangers = batches.strangers(as_read)
    if strangers:
        return rejects + [_refused(each, by_name) for each in strangers]
    if as_read and block.opens:
        opening()
    for part in batches.register(block.did, rse, as_read):
        if isinstance(part, Refused):
            rejects.append(_refused(part, by_name))
            continue
        for file in part:
            item = by_name[file.lfn]
            done(item, _released(item, Status.REGISTERED, block.did))
    if block.closes and (as_read or not block.opens):
        close_block(catalogue, block.did)
    return rejects


def _open(catalogue: ClosingCatalogue, block: Did, rule: FirstRule) -> None:
    """Open a block with the rule that protects its files.

    If the quota of the account is used up, the block is opened without the rule: its files take the space anyway, and
    the reconciliation adds the rule as soon as the quota allows.
    """
    try:
        catalogue.open_block(block, rule)
    except NoRoomError as error:
        _LOG.error("block %s is opened without its first rule: %s", block, error)
        catalogue.open_block(block)


def _refused(refused: Refused, by_name: Mapping[Lfn, Described]) -> Reject:
    item = by_name[refused.file.lfn]
    return Reject(item=item, defects=(refused.defect,), quarantine=refused.is_its_own_fault)


def _reject(reject: Reject, quarantine: Quarantine | None, now: dt.datetime) -> Outcome:
    """Quarantine a rejected file, or leave it where it is; return its outcome."""
    item, case = reject.item, None
    if quarantine is None:
        return Outcome.of(item, Status.REFUSED, defects=reject.defects)
    if reject.quarantine and item.facts is not None and not _is_as_read(item):
        reject = _changed(item)
    try:
        if reject.quarantine:
            case = quarantine.admit(reject, now)
        elif any(defect.kind is DefectKind.MISSING for defect in item.defects):
            case = quarantine.settle(item.file)
    except SourceChangedError:
        return Outcome.of(item, Status.REFUSED, defects=_changed(item).defects)
    except FileNotFoundError:
        defect = Defect(DefectKind.MISSING, f"{item.file.path} has gone since it was read")
        return Outcome.of(item, Status.REFUSED, defects=(*reject.defects, defect))
    except OSError as error:
        if cause_of(error) is not None:
            raise
        defect = Defect(DefectKind.STORAGE, f"{item.file.path} cannot be moved into quarantine: {error}")
        return Outcome.of(item, Status.REFUSED, defects=(*reject.defects, defect))
    status = Status.REFUSED if case is None else Status.QUARANTINED
    return Outcome.of(item, status, defects=reject.defects, case=case)


def _changed(item: Described) -> Reject:
    """Reject a file that changed after it was read."""
    defect = Defect(
        DefectKind.CHANGING, f"{item.file.path} is no longer the file that was read; it is read again later"
    )
    return Reject(item=item, defects=(defect,), quarantine=False)


def _is_as_read(item: Described) -> bool:
    """Whether a file is still the one that was read.

    Raises
    ------
    OSError
        If the storage fails: that is no evidence of another file.
    """
    try:
        status = item.file.path.stat() if item.file.is_link else item.file.path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return item.facts is not None and Stamp.from_status(status).is_of(item.facts)


def _released(item: Described, status: Status, block: Did | None) -> Outcome:
    """Remove the trigger of a file that is in the archive, and return the outcome.

    The trigger stays if the file was replaced, or if it cannot be removed: the archived file is safe, and other files
    do not wait for it.
    """
    is_replaced = not _is_as_read(item)
    if not is_replaced and _removed(item):
        # The file may have been replaced between the check and the removal: then the trigger was for the new file.
        is_replaced = not _is_as_read(item)
        if is_replaced and item.file.trigger is not None:
            with suppress(FileExistsError):
                item.file.trigger.touch(exist_ok=False)
    if is_replaced:
        _LOG.warning("%s is in the archive, and is no longer the file that was read: it is read again", item.file.path)
    return Outcome.of(item, status, block=block, is_replaced=is_replaced)


def _removed(item: Described) -> bool:
    """Remove the trigger of a file; return whether one was removed."""
    if item.file.trigger is None:
        return False
    try:
        item.file.trigger.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        if cause_of(error) is not None:
            raise
        _LOG.warning("%s is in the archive, and its trigger stays until somebody removes it: %s", item.file.path, error)
        return False
    return True
