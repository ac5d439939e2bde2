"""Following the replication: each rule is made soon after its time has come, and little is asked meanwhile.

One question a step tells which blocks have a rule that was fulfilled since; only those are reconciled. From time to
time everything is looked at, a piece a step, so that what was fulfilled meanwhile does not wait for the end of it.
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

#: How far a question reaches back beyond the last one: for clocks that differ, and transactions that end late.
_OVERLAP = dt.timedelta(seconds=30)
#: For how long a step looks at everything; it ends with what it has begun.
_PIECE = dt.timedelta(seconds=2)


class Follower:
    """Follows the replication of blocks.

    Parameters
    ----------
    replication
        The replication of the archive.
    everything
        Returns scopes and patterns of the names of all blocks that are to be followed; by default all that there are.
    everything_after
        The time after which everything is looked at again: what a crash has left is found then.
    on_rule
        Called with block and RSE expression for each rule that is made.
    on_refused
        Called with what could not be done about one rule, and why; by default such an error is raised.
    on_complete
        Called with the blocks that were found to have all their copies; a block may be told more than once.
    on_stalled
        Called with the blocks some of whose files are stuck and all others of which have their copies; again and again.
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
        """Whether the next step looks at everything, or goes on with that."""
        return self._sweep is not None or not self._is_fresh(self._now())

    def step(self) -> None:
        """Make the rules whose time has come since the last step."""
        begin = self._now()
        if self._seen is not None:
            self._follow(self._seen - _OVERLAP)
        self._seen = begin
        if self._sweep is None and not self._is_fresh(begin):
            self._sweep, self._swept = iter(self._everything()), begin
        if self._sweep is not None:
            self._look_on(self._sweep, begin)

    def _follow(self, since: dt.datetime) -> None:
        """Reconcile the blocks that have a rule that was fulfilled since."""
        told = self._catalogue.fulfilled_since(since)
        changed = {did: rules for did, rules in told.items() if is_block(did.name)}
        for did in sorted(changed.keys() - self._complete):
            # Within the overlap everything is told again and again.
            if not changed[did] <= self._followed.get(did, frozenset()):
                self._reconcile(did.scope, did.name)
                self._followed[did] = changed[did]
        self._complete &= changed.keys()  # the others are not told again
        self._followed = {did: rules for did, rules in self._followed.items() if did in changed}

    def _look_on(self, sweep: Iterator[tuple[str, str]], begin: dt.datetime) -> None:
        """Look at the next piece of everything; what fails has it begin anew."""
        swept, self._sweep, self._swept = self._swept, None, None
        for scope, pattern in sweep:
            self._reconcile(scope, pattern)
            if not dt.timedelta() <= self._now() - begin < _PIECE:
                self._sweep = sweep
                break
        self._swept = swept

    def _is_fresh(self, now: dt.datetime) -> bool:
        """Whether everything was looked at a short while ago; a clock that was set back says nothing of it."""
        return self._swept is not None and dt.timedelta() <= now - self._swept < self._everything_after

    def _all_blocks(self) -> Iterator[tuple[str, str]]:
        for scope in self._catalogue.scopes():
            yield scope, f"/*/{scope}/blocks/*"

    def _reconcile(self, scope: str, pattern: str) -> None:
        """Reconcile blocks."""
        states = self._replication.reconcile(scope, pattern, on_rule=self._on_rule, on_refused=self._on_refused)
        complete = tuple(state.did for state in states if state.is_complete)
        if complete:
            self._complete.update(complete)
            self._on_complete(complete)
        stalled = tuple(state.did for state in states if state.has_stalled)
        if stalled:
            self._on_stalled(stalled)
