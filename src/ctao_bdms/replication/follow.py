"""Follow the replication of blocks with few requests.

One request a step returns the blocks whose rules became OK since the last step; only those are reconciled. From time to
time all blocks are reconciled, some in each step, so that newly OK rules do not wait until the last block is done.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ctao_bdms.naming import is_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.model import Did
    from ctao_bdms.replication.difference import Action
    from ctao_bdms.replication.reconcile import Replication

__all__ = ["Follower"]

#: How far a request reaches back beyond the last one: for clocks that differ, and transactions that commit late.
_OVERLAP = dt.timedelta(seconds=30)
#: For how long a step goes on with the reconciliation of all blocks; it finishes the pattern that it has begun.
_PIECE = dt.timedelta(seconds=2)


class Follower:
    """Follows the replication of blocks.

    Parameters
    ----------
    everything
        Returns scopes and name patterns of all blocks to follow; by default all blocks.
    everything_after
        The time after which all blocks are reconciled again; this finds what a crash has left.
    on_rule
        Called with block and RSE expression for each rule that is made.
    on_refused
        Called with an action that the catalogue refused, and the error; by default the error is raised.
    on_complete
        Called with blocks that have all their copies; for one block perhaps more than once.
    on_stalled
        Called with blocks whose files all have their copies, but for some that are stuck; repeatedly.
    """

    def __init__(
        self,
        replication: Replication,
        *,
        everything: Callable[[], Iterable[tuple[str, str]]] | None = None,
        everything_after: dt.timedelta = dt.timedelta(minutes=10),
        on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
        on_refused: Callable[[Action, CatalogueError], None] | None = None,
        on_complete: Callable[[tuple[Did, ...]], None] = lambda _blocks: None,
        on_stalled: Callable[[tuple[Did, ...]], None] = lambda _blocks: None,
    ) -> None:
        self._replication = replication
        self._catalogue = replication.catalogue
        self._now = replication.now
        self._everything = everything or self._all_blocks
        self._everything_after = everything_after
        self._on_rule = on_rule
        self._on_refused = on_refused
        self._on_complete = on_complete
        self._on_stalled = on_stalled
        self._complete: set[Did] = set()
        self._followed: dict[Did, AbstractSet[str]] = {}
        self._sweep: Iterator[tuple[str, str]] | None = None
        self._swept: dt.datetime | None = None
        self._seen: dt.datetime | None = None

    @property
    def is_everything_due(self) -> bool:
        """Whether the next step reconciles all blocks, or goes on with that."""
        return self._sweep is not None or not self._is_fresh(self._now())

    def step(self) -> None:
        """Make the rules that have become possible since the last step."""
        begin = self._now()
        if self._seen is not None:
            self._follow(self._seen - _OVERLAP)
        self._seen = begin
        if self._sweep is None and not self._is_fresh(begin):
            self._sweep, self._swept = iter(self._everything()), begin
        if self._sweep is not None:
            self._look_on(self._sweep, begin)

    def _follow(self, since: dt.datetime) -> None:
        """Reconcile the blocks with a rule that became OK after `since`."""
        told = self._catalogue.fulfilled_since(since)
        changed = {did: rules for did, rules in told.items() if is_block(did.name)}
        for did in sorted(changed.keys() - self._complete):
            # Within the overlap the catalogue returns the same rules again.
            if not changed[did] <= self._followed.get(did, frozenset()):
                self._reconcile(did.scope, did.name)
                self._followed[did] = changed[did]
        self._complete &= changed.keys()  # the others are not told again
        self._followed = {did: rules for did, rules in self._followed.items() if did in changed}

    def _look_on(self, sweep: Iterator[tuple[str, str]], begin: dt.datetime) -> None:
        """Reconcile some of all blocks; after an error, the next step starts from the first block."""
        swept, self._sweep, self._swept = self._swept, None, None
        for scope, pattern in sweep:
            self._reconcile(scope, pattern)
            if not dt.timedelta() <= self._now() - begin < _PIECE:
                self._sweep = sweep
                break
        self._swept = swept

    def _is_fresh(self, now: dt.datetime) -> bool:
        """Whether all blocks were reconciled lately; False if the clock was set back."""
        return self._swept is not None and dt.timedelta() <= now - self._swept < self._everything_after

    def _all_blocks(self) -> Iterator[tuple[str, str]]:
        for scope in self._catalogue.scopes():
            yield scope, f"/*/{scope}/blocks/*"

    def _reconcile(self, scope: str, pattern: str) -> None:
        """Reconcile blocks."""
        states = self._replication.reconcile(
            scope,
            pattern,
            of_account=self._replication.catalogue.account(),
            on_rule=self._on_rule,
            on_refused=self._on_refused,
        )
        complete = tuple(state.did for state in states if state.is_complete)
        if complete:
            self._complete.update(complete)
            self._on_complete(complete)
        stalled = tuple(state.did for state in states if state.has_stalled)
        if stalled:
            self._on_stalled(stalled)
