"""Keeping the rules true: what blocks must have, against what they have, and the difference done."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Protocol

from ctao_bdms.catalogue import AddRules, ChangeRules, FindBlocks, FindRules, KnowStorage, Register
from ctao_bdms.errors import ConflictError, ForbiddenError, NoRoomError, NotFoundError, RefusedError, UsageError
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication.centres import PATIENCE, centres_of
from ctao_bdms.replication.difference import Action, Difference, Kind, Wanted, difference
from ctao_bdms.replication.placement import centres_for, shares_of
from ctao_bdms.replication.states import BlockStates, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.model import Block, Did, Night, Rse, Rule, Site

__all__ = ["Looking", "Replicating", "begin", "compare", "look", "placed_now", "placement_of", "reconcile", "wanted_of"]

#: How many distinct centres keep a block.
_COPIES = 2
#: What the catalogue says of one rule, and not of all: the others are seen to all the same.
_OF_ONE_RULE = (ConflictError, ForbiddenError, NoRoomError, NotFoundError, RefusedError)


class Looking(KnowStorage, FindBlocks, FindRules, Protocol):
    """What comparing asks of a catalogue."""


class Replicating(Looking, AddRules, ChangeRules, Register, Protocol):
    """What reconciling asks of a catalogue."""


def _silent(_did: Did, _expression: str) -> None:
    """Say nothing of a rule that is made."""


def reconcile(
    catalogue: Replicating,
    scope: str,
    pattern: str,
    *,
    now: Callable[[], dt.datetime],
    abandoned_after: dt.timedelta = dt.timedelta(minutes=10),
    patience: dt.timedelta = PATIENCE,
    prune: bool = False,
    on_rule: Callable[[Did, str], None] = _silent,
    on_refused: Callable[[Action, CatalogueError], None] | None = None,
) -> BlockStates:
    """Do what is to be done about the rules of the blocks of `pattern`.

    An open block that nobody has closed for `abandoned_after` is what a crash has left: it is closed first. An empty
    block needs no rules.

    Parameters
    ----------
    catalogue
        The archive.
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    now
        The clock.
    abandoned_after
        How old an open block must be to be closed here.
    patience
        How long a centre that is shut is waited for.
    prune
        End the rules of centres that keep a block no longer, once all its copies are elsewhere.
    on_rule
        Called with block and RSE expression for each rule that is made.
    on_refused
        Called with what could not be done about one rule, and why; by default the first such error is raised when all
        others have been seen to.

    Returns
    -------
    BlockStates
        The closed blocks with what they have now.
    """
    blocks = _blocks(catalogue, scope, pattern)
    abandoned = [block for block in blocks if block.is_open and now() - block.created >= abandoned_after]
    for block in abandoned:
        catalogue.close_block(block.did)
    if abandoned:
        blocks = _blocks(catalogue, scope, pattern)
    closed = [block for block in blocks if not block.is_open and block.n_files]
    rules = _rules(catalogue, scope, closed)
    refused: list[CatalogueError] = []
    say = on_refused or (lambda _action, error: refused.append(error))
    done = 0
    for block in closed:
        wanted = wanted_of(catalogue, block.did, now(), patience)
        for action in difference(block.did, wanted, rules[block.did.name], block.account):
            done += _do(catalogue, action, on_rule, say, prune=prune)
    if done:
        rules = _rules(catalogue, scope, closed)
    if refused:
        raise refused[0]
    return _states(catalogue, closed, rules, now(), patience)


def compare(
    catalogue: Looking, scope: str, pattern: str, *, now: Callable[[], dt.datetime], patience: dt.timedelta = PATIENCE
) -> Difference:
    """Return what `reconcile` would do, and what it leaves alone or waits for; nothing is changed.

    Parameters
    ----------
    catalogue
        The archive.
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    now
        The clock.
    patience
        How long a centre that is shut is waited for.
    """
    closed = [block for block in _blocks(catalogue, scope, pattern) if not block.is_open and block.n_files]
    rules = _rules(catalogue, scope, closed)
    return Difference(
        action
        for block in closed
        for action in difference(
            block.did, wanted_of(catalogue, block.did, now(), patience), rules[block.did.name], block.account
        )
    )


def look(
    catalogue: Looking, scope: str, pattern: str, *, now: Callable[[], dt.datetime], patience: dt.timedelta = PATIENCE
) -> BlockStates:
    """Return the closed blocks of `pattern` with the rules that they have; nothing is changed.

    Parameters
    ----------
    catalogue
        The archive.
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    now
        The clock.
    patience
        How long a centre that is shut is waited for.
    """
    closed = [block for block in _blocks(catalogue, scope, pattern) if not block.is_open and block.n_files]
    return _states(catalogue, closed, _rules(catalogue, scope, closed), now(), patience)


def begin(
    catalogue: Replicating,
    blocks: Iterable[Did],
    *,
    now: Callable[[], dt.datetime],
    patience: dt.timedelta = PATIENCE,
    on_rule: Callable[[Did, str], None] = _silent,
    on_refused: Callable[[Action, CatalogueError], None] | None = None,
) -> None:
    """Make the first rules of blocks that were closed just now and have none yet.

    Parameters
    ----------
    catalogue
        The archive.
    blocks
        The blocks, made by the account that asks.
    now
        The clock.
    patience
        How long a centre that is shut is waited for.
    on_rule, on_refused
        As in `reconcile`.
    """
    refused: list[CatalogueError] = []
    say = on_refused or (lambda _action, error: refused.append(error))
    for did in blocks:
        for action in difference(did, wanted_of(catalogue, did, now(), patience), ()):
            _do(catalogue, action, on_rule, say, prune=False)
    if refused:
        raise refused[0]


def placement_of(
    catalogue: KnowStorage, did: Did, *, now: Callable[[], dt.datetime], patience: dt.timedelta = PATIENCE
) -> tuple[str, ...]:
    """Return the centres that keep the copies of a new block, the one that receives them from the site first."""
    name = BlockName.parse(did.name)
    return placed_now(catalogue, name.site, name.night, now=now, patience=patience)


def placed_now(
    catalogue: KnowStorage,
    site: Site,
    night: Night,
    *,
    now: Callable[[], dt.datetime],
    patience: dt.timedelta = PATIENCE,
) -> tuple[str, ...]:
    """Return the centres that keep the copies of what is taken in a night, as things are now."""
    return _wanted(catalogue, site, night, now(), patience).placed(())


def wanted_of(catalogue: KnowStorage, did: Did, now: dt.datetime, patience: dt.timedelta) -> Wanted:
    """Return what a block must have, as things are now."""
    name = BlockName.parse(did.name)
    return _wanted(catalogue, name.site, name.night, now, patience)


def _wanted(catalogue: KnowStorage, site: Site, night: Night, now: dt.datetime, patience: dt.timedelta) -> Wanted:
    rses = catalogue.rses()
    shares = {centre: share for centre, share in shares_of(rses.values()).items() if share > 0}
    centres_for(site, night, shares, _COPIES)  # says so if there are too few
    return Wanted(
        onsite=_onsite(rses, site),
        ranking=centres_for(site, night, shares, len(shares)),
        copies=_COPIES,
        centres=centres_of(rses.values(), now, patience),
    )


def _do(
    catalogue: Replicating,
    action: Action,
    on_rule: Callable[[Did, str], None],
    on_refused: Callable[[Action, CatalogueError], None],
    *,
    prune: bool,
) -> bool:
    """Do one thing, if it can be done now; return whether anything was changed."""
    try:
        if action.kind is Kind.MAKE:
            catalogue.add_rule(
                action.did, rse_expression=action.rse_expression, source=action.source, account=action.account
            )
            on_rule(action.did, action.rse_expression)
            return True
        if action.rule is None:
            return False
        if action.kind is Kind.PROLONG:
            catalogue.prolong_rule(action.rule.id)
        elif action.kind is Kind.REDIRECT:
            catalogue.redirect_rule(action.rule.id, action.source)
        elif action.kind is Kind.END and prune:
            catalogue.end_rule(action.rule.id)
        else:
            return False
    except _OF_ONE_RULE as error:
        on_refused(action, error)
        return False
    return True


def _blocks(catalogue: FindBlocks, scope: str, pattern: str) -> list[Block]:
    """Return what `pattern` finds, if its name is that of a block."""
    return [block for block in catalogue.blocks(scope, pattern) if is_block(block.did.name)]


def _rules(catalogue: FindRules, scope: str, blocks: Sequence[Block]) -> Mapping[str, Sequence[Rule]]:
    return catalogue.rules(scope, [block.did.name for block in blocks]) if blocks else {}


def _states(
    catalogue: KnowStorage,
    blocks: Sequence[Block],
    rules: Mapping[str, Sequence[Rule]],
    now: dt.datetime,
    patience: dt.timedelta,
) -> BlockStates:
    return BlockStates(
        state_of(block, wanted_of(catalogue, block.did, now, patience), rules[block.did.name]) for block in blocks
    )


def _onsite(rses: Mapping[str, Rse], site: Site) -> str:
    """Return the storage element of `site`."""
    names = [rse.name for rse in rses.values() if rse.site == site]
    if len(names) != 1:
        raise UsageError(f"site {site} needs one storage element with the attribute site={site}, and has {len(names)}")
    return names[0]
