"""How copies come to the data centres: rules, why they are stuck, and the centres themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ctao_bdms import replication as rules
from ctao_bdms.errors import NotFoundError
from ctao_bdms.facade.connected import DEFAULT_VO, Connected
from ctao_bdms.naming import BlockName, blocks_pattern

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.model import Did, Night, Rse, Site

__all__ = ["Replicating"]

_RULE_ID = re.compile(r"[0-9a-f]{32}")


class Replicating(Connected):
    """How copies come to the data centres."""

    def reconcile(
        self,
        scope: str = "",
        *,
        site: Site | None = None,
        night: Night | None = None,
        patience: dt.timedelta = rules.PATIENCE,
        prune: bool = False,
        on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
    ) -> rules.BlockStates:
        """Do what is to be done about the rules of blocks; return how far each is.

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
        refused: list[CatalogueError] = []
        states = rules.BlockStates(
            state
            for each in self._scopes(scope)
            for state in rules.reconcile(
                self.catalogue,
                each,
                blocks_pattern(DEFAULT_VO, each, site, night),
                now=self.now,
                policy=self.policy,
                patience=patience,
                prune=prune,
                on_rule=on_rule,
                on_refused=lambda _action, error: refused.append(error),
            )
        )
        if refused:
            raise refused[0]
        return states

    def _scopes(self, scope: str) -> Sequence[str]:
        """Return a scope that is named, else all that hold products."""
        return (scope,) if scope else self.catalogue.scopes()

    def compare(
        self,
        scope: str = "",
        *,
        site: Site | None = None,
        night: Night | None = None,
        patience: dt.timedelta = rules.PATIENCE,
    ) -> rules.Difference:
        """Return what `reconcile` would do about the rules of blocks, and why; nothing is changed."""
        return rules.Difference(
            action
            for each in self._scopes(scope)
            for action in rules.compare(
                self.catalogue,
                each,
                blocks_pattern(DEFAULT_VO, each, site, night),
                now=self.now,
                policy=self.policy,
                patience=patience,
            )
        )

    def replication(
        self, scope: str = "", *, site: Site | None = None, night: Night | None = None
    ) -> rules.BlockStates:
        """Return how far the replication of each closed block is; nothing is changed."""
        return rules.BlockStates(
            state
            for each in self._scopes(scope)
            for state in rules.look(
                self.catalogue,
                each,
                blocks_pattern(DEFAULT_VO, each, site, night),
                now=self.now,
                policy=self.policy,
            )
        )

    def explain(
        self, what: str = "", *, scope: str = "", site: Site | None = None, night: Night | None = None
    ) -> rules.Explanations:
        """Say why copies are not there yet, in plain words, and what helps; nothing is changed.

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
            return rules.explain(self.catalogue, rule_id=what, now=self.now, policy=self.policy)
        if what:
            return rules.explain(self.catalogue, BlockName.parse(what).scope, what, now=self.now, policy=self.policy)
        return rules.Explanations(
            explanation
            for each in self._scopes(scope)
            for explanation in rules.explain(
                self.catalogue,
                each,
                blocks_pattern(DEFAULT_VO, each, site, night),
                now=self.now,
                policy=self.policy,
            )
        )

    def retry_rule(self, rule_id: str) -> None:
        """Have a rule that is stuck tried again soon.

        Raises
        ------
        NotFoundError
            If there is no such rule.
        """
        self.catalogue.retry_rule(rule_id)

    def centres(self, *, patience: dt.timedelta = rules.PATIENCE) -> rules.Centres:
        """Return the data centres, and what is expected of each now."""
        keep_free = self.policy.placement.keep_free_bytes
        found = rules.centres_of(self.catalogue.rses().values(), self.now(), patience, keep_free)
        return rules.Centres(found.values())

    def lose_centre(self, centre: str, reason: str) -> list[str]:
        """Mark a centre as lost and shut it; return its storage elements.

        Raises
        ------
        NotFoundError
            If there is no such centre.
        ForbiddenError
            If the account is not the archive's administrator.
        """
        return [self._mark(rse, reason) for rse in self._of_centre(centre)]

    def regain_centre(self, centre: str) -> list[str]:
        """Take back that a centre is lost and open it; return its storage elements.

        Raises
        ------
        NotFoundError
            If there is no such centre.
        ForbiddenError
            If the account is not the archive's administrator.
        """
        return [self._mark(rse, "") for rse in self._of_centre(centre)]

    def _of_centre(self, centre: str) -> list[Rse]:
        """Return the storage elements of a centre."""
        rses = self.catalogue.rses().values()
        found = [rse for rse in rses if rse.centre == centre and centre]
        if not found:
            names = ", ".join(sorted({rse.centre for rse in rses if rse.centre}))
            raise NotFoundError(f"there is no centre {centre!r}; there are {names or 'none'}")
        return found

    def _mark(self, rse: Rse, reason: str) -> str:
        self.catalogue.mark_lost(rse.name, reason)
        return rse.name
