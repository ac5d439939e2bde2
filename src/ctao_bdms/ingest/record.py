"""Write the outcomes of an ingest into the journal."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ctao_bdms.ingest.report import Status
from ctao_bdms.journal import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ctao_bdms.ingest.report import Outcome
    from ctao_bdms.journal import Journal
    from ctao_bdms.model import Did

__all__ = ["record"]


def record(journal: Journal, outcomes: Iterable[Outcome]) -> None:
    """Record registered and quarantined files; refused files stay due."""
    by_block: dict[Did | None, list[Path]] = defaultdict(list)
    rejected = []
    for outcome in outcomes:
        if outcome.is_archived:
            by_block[outcome.block].append(outcome.path)
        elif outcome.status is Status.QUARANTINED:
            rejected.append(Rejected(path=outcome.path, why=outcome.why, case=outcome.case))
    for block, paths in by_block.items():
        journal.registered(paths, block)
    journal.quarantined(rejected)
