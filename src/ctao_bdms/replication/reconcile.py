"""Keeping the rules true: what a block must have, against what it has."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms.catalogue import AddRules, FindBlocks, FindRules, KnowStorage
from ctao_bdms.errors import StorageError
from ctao_bdms.model import Block, Did, Rule, RuleState
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication.placement import centres_for, shares_of
from ctao_bdms.replication.rules import WantedRule, missing_rules, wanted_rules
from ctao_bdms.rows import Rows
from ctao_bdms.sealing import Sealing, onsite_of, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


__all__ = ["BlockState", "BlockStates", "Replicating", "begin", "look", "placement_of", "reconcile"]

_LOG = logging.getLogger(__name__)


class Replicating(Sealing, FindRules, AddRules, Protocol):
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
    """

    did: Did
    n_files: int
    size_bytes: int
    centres: tuple[str, ...]
    rules: tuple[Rule, ...]

    @property
    def block(self) -> str:
        """The name of the block."""
        return self.did.name

    @property
    def complete_at(self) -> tuple[str, ...]:
        """The centres that have every file, as the catalogue says."""
        done = {rule.rse_expression for rule in self.rules if rule.state is RuleState.OK and rule.expires is None}
        return tuple(centre for centre in self.centres if f"centre={centre}" in done)

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
    abandoned_after: dt.timedelta = dt.timedelta(minutes=10),
    on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
) -> BlockStates:
    """Give each block of `pattern` the rules that it lacks and whose time has come.

    An open block that nobody has closed for `abandoned_after` is what a crash has left: it is closed first. If its
    manifest cannot be written on site, that is logged, the block stays open, and the others go on. An empty block needs
    no rules.

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
    on_rule
        Called with block and RSE expression for each rule that is made.

    Returns
    -------
    BlockStates
        The closed blocks with what they have now.
    """
    blocks = _blocks(catalogue, scope, pattern)
    abandoned = [block for block in blocks if block.is_open and now() - block.created >= abandoned_after]
    for block in abandoned:
        try:
            seal(catalogue, block.did)
        except StorageError as error:
            _LOG.error("block %s stays open: %s", block.did, error)
    if abandoned:
        blocks = _blocks(catalogue, scope, pattern)
    closed = [block for block in blocks if not block.is_open and block.n_files]
    rules = _rules(catalogue, scope, closed)
    if sum(_make_rules(catalogue, block.did, rules[block.did.name], on_rule) for block in closed):
        rules = _rules(catalogue, scope, closed)
    return _states(catalogue, closed, rules)


def look(catalogue: Replicating, scope: str, pattern: str) -> BlockStates:
    """Return the closed blocks of `pattern` with the rules that they have; nothing is changed.

    Parameters
    ----------
    catalogue
        The archive.
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    """
    closed = [block for block in _blocks(catalogue, scope, pattern) if not block.is_open and block.n_files]
    return _states(catalogue, closed, _rules(catalogue, scope, closed))


def _states(catalogue: KnowStorage, blocks: Sequence[Block], rules: Mapping[str, Sequence[Rule]]) -> BlockStates:
    return BlockStates(_state(catalogue, block, rules[block.did.name]) for block in blocks)


def _state(catalogue: KnowStorage, block: Block, rules: Sequence[Rule]) -> BlockState:
    """Return the state of a block, its rules in the order in which they are made."""
    order = [want.rse_expression for want in _wanted(catalogue, block.did)]
    known = sorted(
        (rule for rule in rules if rule.rse_expression in order), key=lambda r: order.index(r.rse_expression)
    )
    return BlockState(
        did=block.did,
        n_files=block.n_files,
        size_bytes=block.size_bytes,
        centres=placement_of(catalogue, block.did),
        rules=(*known, *(rule for rule in rules if rule not in known)),
    )


def begin(
    catalogue: Replicating,
    blocks: Iterable[Did],
    on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
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
    """
    for did in blocks:
        _make_rules(catalogue, did, (), on_rule)


def _blocks(catalogue: FindBlocks, scope: str, pattern: str) -> list[Block]:
    """Return what `pattern` finds, if its name is that of a block."""
    return [block for block in catalogue.blocks(scope, pattern) if is_block(block.did.name)]


def _rules(catalogue: FindRules, scope: str, blocks: Sequence[Block]) -> Mapping[str, Sequence[Rule]]:
    return catalogue.rules(scope, [block.did.name for block in blocks]) if blocks else {}


def placement_of(catalogue: KnowStorage, did: Did) -> tuple[str, ...]:
    """Return the centres that keep the copies of a block, the one that receives them from the site first."""
    name = BlockName.parse(did.name)
    return centres_for(name.site, name.night, shares_of(catalogue.rses().values()))


def _wanted(catalogue: KnowStorage, did: Did) -> tuple[WantedRule, ...]:
    onsite = onsite_of(catalogue.rses(), BlockName.parse(did.name).site).name
    return wanted_rules(onsite, placement_of(catalogue, did))


def _make_rules(catalogue: Replicating, did: Did, existing: Sequence[Rule], on_rule: Callable[[Did, str], None]) -> int:
    """Make the rules of a closed block that are wanted, not there, and ready; return how many."""
    ready = missing_rules(_wanted(catalogue, did), existing)
    for want in ready:
        catalogue.add_rule(did, rse_expression=want.rse_expression, source=want.source)
        on_rule(did, want.rse_expression)
    return len(ready)
