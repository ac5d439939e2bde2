"""Carry out a plan within one call: register its files, then have the next rules of its blocks made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ctao_bdms.ingest.batches import Batches, BatchSize
from ctao_bdms.ingest.execute import execute
from ctao_bdms.model import Did

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from ctao_bdms.blocks import ClosingCatalogue
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.ingest.open_blocks import FirstRuleOf
    from ctao_bdms.ingest.plan import Plan
    from ctao_bdms.ingest.report import IngestReport, Outcome
    from ctao_bdms.quarantine import Quarantine

__all__ = ["FIRST_BATCH", "BeginRules", "carry_out"]

#: How many files the first request of a call registers, until the server says otherwise.
FIRST_BATCH = BatchSize(files=1000)

#: Makes the next rules of blocks that were closed just now.
BeginRules = Callable[[Iterable[Did]], None]


def carry_out(
    plan: Plan,
    items: Sequence[Described],
    catalogue: ClosingCatalogue,
    *,
    quarantine: Quarantine | None,
    now: Callable[[], dt.datetime],
    first_rule: FirstRuleOf,
    begin_rules: BeginRules,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> IngestReport:
    """Do what `plan` says with `items`; to call it again is safe.

    Parameters
    ----------
    begin_rules
        Called with the blocks that were filled and closed.
    plan, items, catalogue, quarantine, now, first_rule, on_outcome
        As of `execute`.
    """
    batches = Batches(catalogue, FIRST_BATCH)
    report = execute(plan, items, catalogue, batches, quarantine, now, on_outcome, first_rule=first_rule)
    filled = {outcome.block for outcome in report}
    begin_rules(block.did for block in plan.blocks if block.did in filled)
    return report
