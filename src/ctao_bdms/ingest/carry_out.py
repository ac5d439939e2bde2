"""Carry out a plan within one call: register files, add rules to their blocks."""

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

#: Size of the first batch of a call.
FIRST_BATCH = BatchSize(files=1000)

#: Adds the next rules of blocks that were just closed.
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
    """Execute `plan`, then add rules to the filled blocks; safe to repeat.

    `begin_rules` gets the filled blocks; the other parameters are those of `execute`.
    """
    batches = Batches(catalogue, FIRST_BATCH)
    report = execute(plan, items, catalogue, batches, quarantine, now, on_outcome, first_rule=first_rule)
    filled = {outcome.block for outcome in report}
    begin_rules(block.did for block in plan.blocks if block.did in filled)
    return report
