"""The methods of `bdms.rules`: the rules of blocks, and the data centres."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from ctao_bdms import replication
from ctao_bdms.naming import BlockName

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ctao_bdms.archive.connected import Connected
    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.model import Did, Night, Site

__all__ = ["RuleVerbs"]

_RULE_ID = re.compile(r"[0-9a-f]{32}")


class RuleVerbs:
    """The rules of blocks, why they are stuck, and the data centres."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected
        self._replication = connected.replication

    def reconcile(
        self,
        scope: str = "",
        *,
        site: Site | None = None,
        night: Night | None = None,
        patience: dt.timedelta = replication.PATIENCE,
        prune: bool = False,
        on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
    ) -> replication.BlockStates:
        """Add, change and end the rules of blocks; return the state of each block.

        Parameters
        ----------
        scope
            The scope of the blocks; by default all but the users' own.
        site, night
            Only the blocks of this site, and of this night.
        patience
            How long a centre that is shut is waited for.
        prune
            End the rules of centres that keep a block no longer, once all its copies are elsewhere.
        on_rule
            Called with block and RSE expression for each rule that is made.

        Raises
        ------
        CatalogueError
            If something could not be done about one rule: the first such error, when all others have been seen to.
        """
        chosen = attrs.evolve(self._replication, patience=patience)
        refused: list[CatalogueError] = []
        states = replication.BlockStates(
            state
            for each, pattern in self._connected.blocks(scope, site, night)
            for state in chosen.reconcile(
                each, pattern, prune=prune, on_rule=on_rule, on_refused=lambda _action, error: refused.append(error)
            )
        )
        if refused:
            raise refused[0]
        return states

    def compare(
        self,
        scope: str = "",
        *,
        site: Site | None = None,
        night: Night | None = None,
        patience: dt.timedelta = replication.PATIENCE,
    ) -> replication.Difference:
        """Return what `reconcile` would do, and why; nothing is changed."""
        chosen = attrs.evolve(self._replication, patience=patience)
        return replication.Difference(
            action
            for each, pattern in self._connected.blocks(scope, site, night)
            for action in chosen.compare(each, pattern)
        )

    def states(
        self, scope: str = "", *, site: Site | None = None, night: Night | None = None
    ) -> replication.BlockStates:
        """Return how far the replication of each closed block is; nothing is changed."""
        return replication.BlockStates(
            state
            for each, pattern in self._connected.blocks(scope, site, night)
            for state in self._replication.states(each, pattern)
        )

    def explain(
        self, what: str = "", *, scope: str = "", site: Site | None = None, night: Night | None = None
    ) -> replication.Explanations:
        """Return why copies are not there yet, and what helps; nothing is changed.

        Parameters
        ----------
        what
            A block, by its name, or a rule, by its number.
        scope, site, night
            If nothing is named, the blocks of this scope, of this site, and of this night; by default all, users'
            own excepted.

        Raises
        ------
        NotFoundError
            If there is no such rule.
        InvalidNameError
            If `what` is neither.
        """
        if _RULE_ID.fullmatch(what):
            return self._replication.explain(rule_id=what)
        named = [(BlockName.parse(what).scope, what)] if what else self._connected.blocks(scope, site, night)
        return replication.Explanations(
            explanation for each, pattern in named for explanation in self._replication.explain(each, pattern)
        )

    def retry(self, rule_id: str) -> None:
        """Have Rucio try a stuck rule again soon.

        Raises
        ------
        NotFoundError
            If there is no such rule.
        """
        self._replication.catalogue.retry_rule(rule_id)

    def centres(self, *, patience: dt.timedelta = replication.PATIENCE) -> replication.Centres:
        """Return the data centres, and what is expected of each now."""
        return attrs.evolve(self._replication, patience=patience).centres()

    def lose_centre(self, centre: str, reason: str) -> list[str]:
        """Mark a centre as lost and shut it; return its storage elements.

        Raises
        ------
        NotFoundError
            If there is no such centre.
        ForbiddenError
            If the account is not the archive's administrator.
        """
        return replication.mark_centre(self._connected.catalogue, centre, reason)

    def regain_centre(self, centre: str) -> list[str]:
        """Take back that a centre is lost and open it; return its storage elements.

        Raises
        ------
        NotFoundError
            If there is no such centre.
        ForbiddenError
            If the account is not the archive's administrator.
        """
        return replication.mark_centre(self._connected.catalogue, centre, "")
