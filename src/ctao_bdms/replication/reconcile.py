"""Keeping the rules true: what a block must have, against what it has."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms.catalogue import AddRules, FindBlocks, FindRules, KnowStorage, Register
from ctao_bdms.errors import UsageError
from ctao_bdms.model import Block, Did, Rule, RuleState
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication.placement import place, tape_centres
from ctao_bdms.replication.policy import Policy
from ctao_bdms.replication.rules import WantedRule, centre_of, centres_held, missing_rules, wanted_rules
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctao_bdms.model import Rse, Site

__all__ = ["BlockState", "BlockStates", "Replicating", "begin", "look", "placement_of", "reconcile"]


class Replicating(KnowStorage, FindBlocks, FindRules, AddRules, Register, Protocol):
    """What reconciling asks of a catalogue."""


@attrs.frozen(kw_only=True)
class BlockState:
    """How far the replication of a block is.

    Attributes
    ----------
    did
        The block.
    n_files, size_bytes
        What it holds.
    centres
        The centres that shall keep copies.
    rules
        The rules that it has.
    ends
        Whether its copies are kept for a while only: then rules that end count.
    """

    did: Did
    n_files: int
    size_bytes: int
    centres: tuple[str, ...]
    rules: tuple[Rule, ...]
    ends: bool = False

    @property
    def block(self) -> str:
        """The name of the block."""
        return self.did.name

    @property
    def complete_at(self) -> tuple[str, ...]:
        """The centres that have every file, as the catalogue says."""
        done = {
            centre_of(rule.rse_expression)
            for rule in self.rules
            if rule.state is RuleState.OK and (rule.expires is None or self.ends)
        }
        return tuple(centre for centre in self.centres if centre in done)

    @property
    def is_complete(self) -> bool:
        """Whether every centre has every file."""
        return self.complete_at == self.centres

    @property
    def progress(self) -> str:
        """The rules as text: where, and how many files are there."""
        parts = []
        for rule in self.rules:
            counts = ", ".join(f"{number} {word}" for word, number in rule.locks.items() if number)
            parts.append(
                f"{rule.rse_expression}: {rule.state.value} ({counts})" + (f": {rule.error}" if rule.error else "")
            )
        return "; ".join(parts)


class BlockStates(Rows[BlockState]):
    """How far the replication of blocks is, one row a block."""

    columns: ClassVar = (
        ("block", "block"),
        ("files", "n_files"),
        ("bytes", "size_bytes"),
        ("complete at", "complete_at"),
        ("rules", "progress"),
    )

    @property
    def is_complete(self) -> bool:
        """Whether every block has its copies at every centre."""
        return all(state.is_complete for state in self)


def reconcile(
    catalogue: Replicating,
    scope: str,
    pattern: str,
    *,
    now: Callable[[], dt.datetime],
    policy: Policy | None = None,
    abandoned_after: dt.timedelta = dt.timedelta(minutes=10),
    on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
) -> BlockStates:
    """Give each block of `pattern` the rules that it lacks and whose time has come.

    An open block that nobody has closed for `abandoned_after` is what a crash has left: it is closed first. An empty
    block needs no rules, nor does one whose time is over.

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
    on_rule
        Called with block and RSE expression for each rule that is made.

    Returns
    -------
    BlockStates
        The closed blocks with what they have now.
    """
    policy = policy or Policy.load()
    blocks = _blocks(catalogue, scope, pattern)
    abandoned = [block for block in blocks if block.is_open and now() - block.created >= abandoned_after]
    for block in abandoned:
        catalogue.close_block(block.did)
    if abandoned:
        blocks = _blocks(catalogue, scope, pattern)
    closed = [block for block in blocks if not block.is_open and block.n_files and not _is_over(block, policy, now())]
    rules = _rules(catalogue, scope, closed)
    if sum(_make_rules(catalogue, policy, block.did, rules[block.did.name], on_rule) for block in closed):
        rules = _rules(catalogue, scope, closed)
    return _states(catalogue, policy, closed, rules)


def _is_over(block: Block, policy: Policy, now: dt.datetime) -> bool:
    """Return whether the time for which a block is kept is over."""
    lifetime = policy.retention(BlockName.parse(block.did.name).retention).lifetime
    return lifetime is not None and now - block.created >= lifetime


def look(catalogue: Replicating, scope: str, pattern: str, policy: Policy | None = None) -> BlockStates:
    """Return the closed blocks of `pattern` with the rules that they have; nothing is changed.

    Parameters
    ----------
    catalogue
        The archive.
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    policy
        How products are kept; by default as the observatory's own policy says.
    """
    closed = [block for block in _blocks(catalogue, scope, pattern) if not block.is_open and block.n_files]
    return _states(catalogue, policy or Policy.load(), closed, _rules(catalogue, scope, closed))


def _states(
    catalogue: KnowStorage, policy: Policy, blocks: Sequence[Block], rules: Mapping[str, Sequence[Rule]]
) -> BlockStates:
    return BlockStates(_state(catalogue, policy, block, rules[block.did.name]) for block in blocks)


def _state(catalogue: KnowStorage, policy: Policy, block: Block, rules: Sequence[Rule]) -> BlockState:
    """Return the state of a block, its rules in the order in which they are made."""
    order = [want.rse_expression for want in _wanted(catalogue, policy, block.did, rules)]
    known = sorted(
        (rule for rule in rules if rule.rse_expression in order), key=lambda r: order.index(r.rse_expression)
    )
    return BlockState(
        did=block.did,
        n_files=block.n_files,
        size_bytes=block.size_bytes,
        centres=placement_of(catalogue, block.did, policy, rules),
        rules=(*known, *(rule for rule in rules if rule not in known)),
        ends=policy.retention(BlockName.parse(block.did.name).retention).lifetime_s is not None,
    )


def begin(
    catalogue: Replicating,
    blocks: Iterable[Did],
    on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
    policy: Policy | None = None,
) -> None:
    """Make the first rules of blocks that were closed just now and have none yet.

    Parameters
    ----------
    catalogue
        The archive.
    blocks
        The blocks.
    on_rule
        Called with block and RSE expression for each rule that is made.
    policy
        How products are kept; by default as the observatory's own policy says.
    """
    policy = policy or Policy.load()
    for did in blocks:
        _make_rules(catalogue, policy, did, (), on_rule)


def _blocks(catalogue: FindBlocks, scope: str, pattern: str) -> list[Block]:
    """Return what `pattern` finds, if its name is that of a block."""
    return [block for block in catalogue.blocks(scope, pattern) if is_block(block.did.name)]


def _rules(catalogue: FindRules, scope: str, blocks: Sequence[Block]) -> Mapping[str, Sequence[Rule]]:
    return catalogue.rules(scope, [block.did.name for block in blocks]) if blocks else {}


def placement_of(
    catalogue: KnowStorage, did: Did, policy: Policy | None = None, rules: Sequence[Rule] = ()
) -> tuple[str, ...]:
    """Return the centres that keep the copies of a block, the one that receives them from the site first.

    Parameters
    ----------
    catalogue
        The archive.
    did
        The block.
    policy
        How products are kept; by default as the observatory's own policy says.
    rules
        The rules that it has: what a centre keeps already it goes on keeping.
    """
    policy, name = policy or Policy.load(), BlockName.parse(did.name)
    held = centres_held(rules, policy.retention(name.retention))
    if name.origin:
        held = tuple(dict.fromkeys((name.origin, *held)))
    return place(policy, catalogue.rses().values(), name.retention, name.site, name.night, held)


def _wanted(catalogue: KnowStorage, policy: Policy, did: Did, existing: Sequence[Rule]) -> tuple[WantedRule, ...]:
    rses, name = catalogue.rses(), BlockName.parse(did.name)
    return wanted_rules(
        "" if name.origin else _onsite(rses, name.site),
        placement_of(catalogue, did, policy, existing),
        policy.retention(name.retention),
        tape_centres(rses.values()),
    )


def _make_rules(
    catalogue: Replicating, policy: Policy, did: Did, existing: Sequence[Rule], on_rule: Callable[[Did, str], None]
) -> int:
    """Make the rules of a closed block that are wanted, not there, and ready; return how many."""
    ready = missing_rules(_wanted(catalogue, policy, did, existing), existing)
    for want in ready:
        catalogue.add_rule(
            did,
            rse_expression=want.rse_expression,
            source=want.source,
            lifetime_s=want.lifetime_s,
            activity=want.activity,
            priority=want.priority,
        )
        on_rule(did, want.rse_expression)
    return len(ready)


def _onsite(rses: Mapping[str, Rse], site: Site) -> str:
    """Return the storage element of `site`."""
    names = [rse.name for rse in rses.values() if rse.site == site]
    if len(names) != 1:
        raise UsageError(f"site {site} needs one storage element with the attribute site={site}, and has {len(names)}")
    return names[0]
