"""Replication state of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.model import Block, Did, Rule, RuleState
from ctao_bdms.replication.rules import centre_of
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.replication.difference import Wanted

__all__ = ["BlockState", "BlockStates", "state_of"]


@attrs.frozen(kw_only=True)
class BlockState:
    """Replication state of a block.

    Attributes
    ----------
    did
        The block.
    n_files, size_bytes
        What it holds.
    centres
        The centres that keep copies, as things are now.
    copies
        How many centres must keep copies.
    rules
        The rules that it has.
    ends
        Whether its copies are kept for a while only: then rules that end count.
    lacks
        What there must be beside so many centres, and is not; empty if nothing.
    """

    did: Did
    n_files: int
    size_bytes: int
    centres: tuple[str, ...]
    rules: tuple[Rule, ...]
    copies: int = 2
    ends: bool = False
    lacks: str = ""

    @property
    def block(self) -> str:
        """The name of the block."""
        return self.did.name

    @property
    def complete_at(self) -> tuple[str, ...]:
        """The centres that have every file, by the catalogue."""
        done = {
            centre_of(rule.rse_expression)
            for rule in self.rules
            if rule.state is RuleState.OK and (rule.expires is None or self.ends)
        }
        return tuple(centre for centre in self.centres if centre in done)

    @property
    def is_complete(self) -> bool:
        """Whether enough centres have every file, and no other requirement is missing."""
        return len(self.complete_at) >= self.copies and not self.lacks

    @property
    def has_stalled(self) -> bool:
        """Whether all its rules have copied all files but some that are stuck."""
        ours = [rule for rule in self.rules if centre_of(rule.rse_expression) in self.centres]
        is_asked = {centre_of(rule.rse_expression) for rule in ours} == set(self.centres)
        return (
            is_asked
            and not self.lacks
            and any(rule.has_stalled for rule in ours)
            and all(rule.has_stalled or rule.state is RuleState.OK for rule in ours)
        )

    @property
    def progress(self) -> str:
        """The rules as text, with the number of files that are there."""
        parts = []
        for rule in self.rules:
            counts = ", ".join(f"{number} {word}" for word, number in rule.locks.items() if number)
            parts.append(
                f"{rule.rse_expression}: {rule.state.value} ({counts})" + (f": {rule.error}" if rule.error else "")
            )
        return "; ".join(parts)


class BlockStates(Rows[BlockState]):
    """Replication states of blocks, one row a block."""

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

    @property
    def awaits_locks(self) -> bool:
        """Whether Rucio's evaluator has still to create locks of a rule, also of one on site."""
        return any(rule.awaits_locks for state in self for rule in state.rules)


def state_of(block: Block, wanted: Wanted, rules: Sequence[Rule]) -> BlockState:
    """Return the state of a block, its rules in the order in which they are made."""
    order = [want.rse_expression for want in wanted.rules]
    known = sorted(
        (rule for rule in rules if rule.rse_expression in order), key=lambda r: order.index(r.rse_expression)
    )
    return BlockState(
        did=block.did,
        n_files=block.n_files,
        size_bytes=block.size_bytes,
        centres=wanted.placed,
        copies=wanted.copies,
        rules=(*known, *(rule for rule in rules if rule not in known)),
        ends=any(rule.lifetime_s is not None for rule in wanted.rules),
        lacks=wanted.lacks,
    )
