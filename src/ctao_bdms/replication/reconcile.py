"""Keeping the rules true: what blocks must have, against what they have, and the difference done."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.catalogue import AddRules, ChangeRules, EndRules, FindBlocks, FindRules, KnowStorage
from ctao_bdms.errors import (
    ConflictError,
    ForbiddenError,
    NoRoomError,
    NotFoundError,
    RefusedError,
    StorageError,
    UsageError,
)
from ctao_bdms.model import RetentionClass, RuleState
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication.centres import PATIENCE, centres_of, counted_on
from ctao_bdms.replication.difference import Action, Difference, Kind, Wanted, difference
from ctao_bdms.replication.placement import place, shut_centres, tape_centres
from ctao_bdms.replication.policy import Policy
from ctao_bdms.replication.rules import WantedRule, centre_of, centres_held, wanted_rules
from ctao_bdms.replication.states import BlockStates, state_of
from ctao_bdms.sealing import Sealing, onsite_of, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.model import Block, Did, Night, Rse, Rule, Site
    from ctao_bdms.replication.centres import Centre

__all__ = ["Looking", "Replicating", "begin", "compare", "look", "placed_now", "placement_of", "reconcile", "wanted_of"]

#: What the catalogue says of one rule or block, and not of all: the others are seen to all the same.
_OF_ONE_RULE = (ConflictError, ForbiddenError, NoRoomError, NotFoundError, RefusedError)

_LOG = logging.getLogger(__name__)


class Looking(KnowStorage, FindBlocks, FindRules, Protocol):
    """What comparing asks of a catalogue."""


class Replicating(Looking, AddRules, ChangeRules, EndRules, Sealing, Protocol):
    """What reconciling asks of a catalogue."""


def _silent(_did: Did, _expression: str) -> None:
    """Say nothing of a rule that is made."""


def reconcile(
    catalogue: Replicating,
    scope: str,
    pattern: str,
    *,
    now: Callable[[], dt.datetime],
    policy: Policy | None = None,
    abandoned_after: dt.timedelta = dt.timedelta(minutes=10),
    opened_since: dt.datetime | None = None,
    patience: dt.timedelta = PATIENCE,
    prune: bool = False,
    on_rule: Callable[[Did, str], None] = _silent,
    on_refused: Callable[[Action, CatalogueError], None] | None = None,
) -> BlockStates:
    """Do what is to be done about the rules of the blocks of `pattern`.

    An open block that nobody has closed for `abandoned_after` is what a crash has left: it is closed first. If its
    manifest cannot be written on site, that is logged, the block stays open, and the others go on. An empty block needs
    no rules, nor does one whose time is over.

    Parameters
    ----------
    catalogue
        The archive.
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    now
        The clock.
    policy
        How products are kept; by default as the observatory's own policy says.
    abandoned_after
        How old an open block must be to be closed here.
    opened_since
        Only blocks that were made since (aware); by default all.
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
    blocks = _blocks(catalogue, scope, pattern, opened_since)
    abandoned = [block for block in blocks if block.is_open and now() - block.created >= abandoned_after]
    for block in abandoned:
        try:
            seal(catalogue, block.did)
        except (StorageError, UsageError, *_OF_ONE_RULE) as error:
            _LOG.error("block %s stays open: %s", block.did, error)
    if abandoned:
        blocks = _blocks(catalogue, scope, pattern, opened_since)
    policy = policy or Policy.load()
    closed = [block for block in blocks if not block.is_open and block.n_files and not _is_over(block, policy, now())]
    rules = _rules(catalogue, scope, closed)
    refused: list[CatalogueError] = []
    say = on_refused or (lambda _action, error: refused.append(error))
    done = 0
    for block in closed:
        for action in _actions(catalogue, policy, block, rules[block.did.name], now(), patience):
            done += _do(catalogue, action, on_rule, say, prune=prune)
    if done:
        rules = _rules(catalogue, scope, closed)
    if refused:
        raise refused[0]
    return _states(catalogue, policy, closed, rules, now(), patience)


def compare(
    catalogue: Looking,
    scope: str,
    pattern: str,
    *,
    now: Callable[[], dt.datetime],
    policy: Policy | None = None,
    patience: dt.timedelta = PATIENCE,
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
    policy
        How products are kept; by default as the observatory's own policy says.
    patience
        How long a centre that is shut is waited for.
    """
    policy = policy or Policy.load()
    closed = [block for block in _blocks(catalogue, scope, pattern) if not block.is_open and block.n_files]
    closed = [block for block in closed if not _is_over(block, policy, now())]
    rules = _rules(catalogue, scope, closed)
    return Difference(
        action
        for block in closed
        for action in _actions(catalogue, policy, block, rules[block.did.name], now(), patience)
    )


def look(
    catalogue: Looking,
    scope: str,
    pattern: str,
    *,
    now: Callable[[], dt.datetime],
    policy: Policy | None = None,
    patience: dt.timedelta = PATIENCE,
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
    policy
        How products are kept; by default as the observatory's own policy says.
    patience
        How long a centre that is shut is waited for.
    """
    closed = [block for block in _blocks(catalogue, scope, pattern) if not block.is_open and block.n_files]
    return _states(catalogue, policy or Policy.load(), closed, _rules(catalogue, scope, closed), now(), patience)


def begin(
    catalogue: Replicating,
    blocks: Iterable[Did],
    *,
    now: Callable[[], dt.datetime],
    policy: Policy | None = None,
    patience: dt.timedelta = PATIENCE,
    on_rule: Callable[[Did, str], None] = _silent,
    on_refused: Callable[[Action, CatalogueError], None] | None = None,
) -> None:
    """Make the next rules of blocks that were closed just now: they have the one with which they were opened.

    Parameters
    ----------
    catalogue
        The archive.
    blocks
        The blocks, made by the account that asks.
    now
        The clock.
    policy
        How products are kept; by default as the observatory's own policy says.
    patience
        How long a centre that is shut is waited for.
    on_rule, on_refused
        As in `reconcile`.
    """
    refused: list[CatalogueError] = []
    say = on_refused or (lambda _action, error: refused.append(error))
    policy = policy or Policy.load()
    for did in blocks:
        for action in difference(did, wanted_of(catalogue, policy, did, (), now(), patience), ()):
            if action.kind is Kind.LATER and not action.rse_expression:
                _LOG.warning("block %s: %s", did, action.why)
            if action.kind is Kind.MAKE and not action.source:
                continue  # what is there already, the first rule holds
            _do(catalogue, action, on_rule, say, prune=False)
    if refused:
        raise refused[0]


def placement_of(
    catalogue: KnowStorage,
    did: Did,
    *,
    now: Callable[[], dt.datetime],
    policy: Policy | None = None,
    rules: Sequence[Rule] = (),
    patience: dt.timedelta = PATIENCE,
) -> tuple[str, ...]:
    """Return the centres that keep the copies of a block, the one that receives them from the site first.

    Parameters
    ----------
    catalogue
        The archive.
    did
        The block.
    now
        The clock.
    policy
        How products are kept; by default as the observatory's own policy says.
    rules
        The rules that it has: what a centre keeps already it goes on keeping.
    patience
        How long a centre that is shut is waited for.
    """
    name = BlockName.parse(did.name)
    rses = catalogue.rses().values()
    centres = centres_of(rses, now(), patience)
    return _placed(rses, centres, policy or Policy.load(), name.retention, name.site, name.night, rules, name.origin)[1]


def placed_now(
    catalogue: KnowStorage,
    site: Site,
    night: Night,
    *,
    now: Callable[[], dt.datetime],
    policy: Policy | None = None,
    patience: dt.timedelta = PATIENCE,
) -> tuple[str, ...]:
    """Return the centres that keep for ever what is taken in a night, if it were placed now."""
    rses = catalogue.rses().values()
    centres = centres_of(rses, now(), patience)
    return _placed(rses, centres, policy or Policy.load(), RetentionClass.PERMANENT, site, night, ())[1]


def wanted_of(
    catalogue: KnowStorage, policy: Policy, did: Did, rules: Sequence[Rule], now: dt.datetime, patience: dt.timedelta
) -> Wanted:
    """Return what a block with these rules must have, as things are now."""
    name, rses = BlockName.parse(did.name), catalogue.rses()
    terms, centres = policy.retention(name.retention), centres_of(rses.values(), now, patience)
    try:
        onsite = "" if name.origin else onsite_of(rses, name.site).name
    except UsageError as error:
        return Wanted(rules=(), copies=terms.copies, centres=centres, lacks=str(error))
    able, placed = _placed(rses.values(), centres, policy, name.retention, name.site, name.night, rules, name.origin)
    tape = tape_centres(rses.values())
    return Wanted(
        rules=wanted_rules(onsite, placed, terms, tape, origin=name.origin),
        copies=terms.copies,
        centres=centres,
        onsite=onsite,
        entered=f"centre={name.origin}" if name.origin else "",
        shut=shut_centres(policy, able, name.retention, name.night),
        lacks="a copy on tape needs a centre that has tape, and none can keep it"
        if terms.tape and not tape.intersection(placed)
        else "",
    )


def _placed(
    rses: Collection[Rse],
    centres: Mapping[str, Centre],
    policy: Policy,
    retention: RetentionClass,
    site: Site,
    night: Night,
    rules: Sequence[Rule],
    origin: str = "",
) -> tuple[tuple[Rse, ...], tuple[str, ...]]:
    """Return what can be counted on, and the centres that keep something: as many as can, if there are too few.

    Centres that are away, full or shut never keep the others from their copies; the difference says what is missing.
    """
    terms = policy.retention(retention)
    whole = {centre_of(rule.rse_expression) for rule in rules if rule.state is RuleState.OK}
    able = counted_on(rses, centres, whole)
    known = dict.fromkeys([*([origin] if origin else []), *centres_held(rules, terms)])
    held = [c for c in known if c in whole or c not in centres or not centres[c].is_closed]
    less = [attrs.evolve(terms, copies=copies, tape=False) for copies in range(terms.copies, 0, -1)]
    for each in (terms, *less):
        lowered = attrs.evolve(policy, retentions={**policy.retentions, retention: each})
        try:
            return able, place(lowered, able, retention, site, night, held)
        except UsageError:
            continue
    return able, ()


def _is_over(block: Block, policy: Policy, now: dt.datetime) -> bool:
    """Return whether the time for which a block is kept is over."""
    lifetime = policy.retention(BlockName.parse(block.did.name).retention).lifetime
    return lifetime is not None and now - block.created >= lifetime


def _actions(
    catalogue: KnowStorage,
    policy: Policy,
    block: Block,
    rules: Sequence[Rule],
    now: dt.datetime,
    patience: dt.timedelta,
) -> list[Action]:
    """Return what is to be done about the rules of a block; only its owner's count."""
    ours = [rule for rule in rules if rule.account == block.account]
    return difference(block.did, wanted_of(catalogue, policy, block.did, ours, now, patience), rules, block.account)


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
    except _OF_ONE_RULE as error:
        on_refused(action, error)
        return False
    return True


def _blocks(catalogue: FindBlocks, scope: str, pattern: str, opened_since: dt.datetime | None = None) -> list[Block]:
    """Return what `pattern` finds, if its name is that of a block."""
    return [block for block in catalogue.blocks(scope, pattern, opened_since=opened_since) if is_block(block.did.name)]


def _rules(catalogue: FindRules, scope: str, blocks: Sequence[Block]) -> Mapping[str, Sequence[Rule]]:
    """Return the rules of blocks by name."""
    found = catalogue.rules(scope, [block.did.name for block in blocks]) if blocks else {}
    return {block.did.name: [_counted(rule, block) for rule in found[block.did.name]] for block in blocks}


def _counted(rule: Rule, block: Block) -> Rule:
    """Return a rule with its state for all files of its block.

    A rule that is older than the files says ``ok`` until Rucio's judge has given them their locks.
    """
    lacks_locks = rule.state is RuleState.OK and rule.locks.get("ok", 0) < block.n_files * rule.copies
    return attrs.evolve(rule, state=RuleState.REPLICATING) if lacks_locks else rule


def _states(
    catalogue: KnowStorage,
    policy: Policy,
    blocks: Sequence[Block],
    rules: Mapping[str, Sequence[Rule]],
    now: dt.datetime,
    patience: dt.timedelta,
) -> BlockStates:
    states = []
    for block in blocks:
        ours = [rule for rule in rules[block.did.name] if rule.account == block.account]
        wanted = wanted_of(catalogue, policy, block.did, ours, now, patience)
        states.append(state_of(block, wanted, rules[block.did.name]))
    return BlockStates(states)
