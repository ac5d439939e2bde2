"""Following the replication: each rule is made soon after its time has come, and little is asked meanwhile.

Between two looks at everything, one question a step tells which blocks have a rule that was fulfilled since; only those
are reconciled.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ctao_bdms.naming import is_block
from ctao_bdms.replication.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.model import Did
    from ctao_bdms.replication.reconcile import Replicating

__all__ = ["Follower"]

#: How far a question reaches back beyond the last one: for clocks that differ, and transactions that end late.
_OVERLAP = dt.timedelta(seconds=30)


class Follower:
    """Follows the replication of all blocks of a catalogue.

    Parameters
    ----------
    catalogue
        The archive.
    now
        The clock.
    everything_after
        The time after which everything is looked at again: what a crash has left is found then.
    on_rule
        Called with block and RSE expression for each rule that is made.
    """

    def __init__(
        self,
        catalogue: Replicating,
        *,
        now: Callable[[], dt.datetime],
        everything_after: dt.timedelta = dt.timedelta(minutes=10),
        on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
    ) -> None:
        self._catalogue = catalogue
        self._now = now
        self._everything_after = everything_after
        self._on_rule = on_rule
        self._complete: set[Did] = set()
        self._all_seen: dt.datetime | None = None
        self._seen: dt.datetime | None = None

    def step(self) -> None:
        """Make the rules whose time has come since the last step."""
        begin = self._now()
        if self._seen is None or self._all_seen is None or begin - self._all_seen >= self._everything_after:
            for scope in self._catalogue.scopes():
                self._reconcile(scope, f"/*/{scope}/blocks/*")
            self._all_seen = begin
        else:
            changed = {did for did in self._catalogue.fulfilled_since(self._seen - _OVERLAP) if is_block(did.name)}
            for did in sorted(changed - self._complete):
                self._reconcile(did.scope, did.name)
            self._complete &= changed  # the others are not told again
        self._seen = begin

    def _reconcile(self, scope: str, pattern: str) -> None:
        states = reconcile(self._catalogue, scope, pattern, now=self._now, on_rule=self._on_rule)
        self._complete.update(state.did for state in states if state.is_complete)
