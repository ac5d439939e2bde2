"""Apply one action of a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ctao_bdms.catalogue import RuleAddingCatalogue, RuleChangingCatalogue, RuleEndingCatalogue
from ctao_bdms.errors import ConflictError, ForbiddenError, NoRoomError, NotFoundError, RefusedError
from ctao_bdms.replication.difference import Kind
from ctao_bdms.replication.rules import WantedRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.model import Did
    from ctao_bdms.replication.difference import Action

__all__ = ["OF_ONE_RULE", "apply"]

#: What the catalogue says of one rule or block, and not of all: the others are seen to all the same.
OF_ONE_RULE = (ConflictError, ForbiddenError, NoRoomError, NotFoundError, RefusedError)


class _ApplyCatalogue(RuleAddingCatalogue, RuleChangingCatalogue, RuleEndingCatalogue, Protocol):
    """The catalogue verbs that apply a difference."""


def apply(
    catalogue: _ApplyCatalogue,
    action: Action,
    on_rule: Callable[[Did, str], None],
    on_refused: Callable[[Action, CatalogueError], None],
    *,
    prune: bool,
) -> bool:
    """Apply an action, if its time has come; return whether anything was changed."""
    try:
        if action.kind is Kind.MAKE:
            wanted = action.wanted or WantedRule(rse_expression=action.rse_expression)
            catalogue.add_rule(
                action.did,
                rse_expression=action.rse_expression,
                source=action.source,
                lifetime_s=wanted.lifetime_s,
                activity=wanted.activity,
                priority=wanted.priority,
                account=action.account,
            )
            on_rule(action.did, action.rse_expression)
            return True
        if action.kind is Kind.IMPOSSIBLE:
            raise NotFoundError(action.why)
        if action.rule is None:
            return False
        if action.kind is Kind.PROLONG:
            catalogue.prolong_rule(action.rule.id)
        elif action.kind is Kind.REDIRECT:
            catalogue.redirect_rule(action.rule.id, action.source)
            if action.rule.has_stalled:
                catalogue.retry_rule(action.rule.id)
        elif action.kind is Kind.RETRY:
            catalogue.retry_rule(action.rule.id)
        elif action.kind is Kind.END and prune:
            catalogue.end_rule(action.rule.id)
        else:
            return False
    except OF_ONE_RULE as error:
        on_refused(action, error)
        return False
    return True
