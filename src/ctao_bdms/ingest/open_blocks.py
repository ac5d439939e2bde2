"""Decide how blocks are filled, kept and closed (pure)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import Did, FirstRule, Night, ProductMetadata, RetentionClass
from ctao_bdms.naming import BlockName

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["BlockLimits", "BlockPolicy", "FirstRuleOf", "OpenBlock", "RetentionOf", "held_for_ever", "permanent"]

#: Returns the retention class of a product, from its metadata and its scope.
RetentionOf = Callable[[ProductMetadata, str], RetentionClass]
#: Returns the first rule of a block, from its identifier and the storage element of its files.
FirstRuleOf = Callable[[Did, str], FirstRule]


def permanent(_metadata: ProductMetadata, _scope: str) -> RetentionClass:
    """Return the permanent retention class for every product."""
    return RetentionClass.PERMANENT


def held_for_ever(block: Did, rse: str) -> FirstRule:
    """Return a first rule without expiry, which protects the files of a block."""
    origin = BlockName.parse(block.name).origin
    return FirstRule(rse_expression=f"centre={origin}" if origin else rse)


@attrs.frozen(kw_only=True)
class BlockLimits:
    """The largest size of a block.

    Attributes
    ----------
    files
        Largest number of files.
    size_bytes
        Largest total size; a single file may be larger.
    """

    files: int = 500
    size_bytes: int = 1_000_000_000_000

    def is_full(self, n_files: int, size_bytes: int, more_bytes: int = 0) -> bool:
        """Return whether a block is too full for another file of `more_bytes`."""
        return n_files > 0 and (n_files >= self.files or size_bytes + more_bytes > self.size_bytes)


@attrs.frozen(kw_only=True)
class OpenBlock:
    """A block that is being filled.

    Attributes
    ----------
    n_files, size_bytes
        Its present content.
    """

    did: Did
    n_files: int = 0
    size_bytes: int = 0

    @property
    def name(self) -> BlockName:
        """The parsed name."""
        return BlockName.parse(self.did.name)


@attrs.frozen(kw_only=True)
class BlockPolicy:
    """How blocks are filled, kept and closed.

    Attributes
    ----------
    age_s
        Longest time that a block stays open, in seconds.
    retention_of
        Returns the retention class of a product; by default all are permanent.
    first_rule
        Returns the first rule of a block; by default a rule without expiry.
    """

    limits: BlockLimits = BlockLimits()
    age_s: float = 60.0
    retention_of: RetentionOf = permanent
    first_rule: FirstRuleOf = held_for_ever

    def closes(self, block: OpenBlock, now: dt.datetime) -> bool:
        """Return whether `block` must be closed.

        A block is closed when it is full or old, or when its night ended after it was opened. A block for late files of
        an earlier night is filled like any other. A block is also closed if the clock was set back before its opening,
        because its age is then unknown.
        """
        name = block.name
        age_s = (now - name.opened).total_seconds()
        # Names have whole seconds: a block can seem to be opened up to a second in the future.
        if self.limits.is_full(block.n_files, block.size_bytes) or not -1 <= age_s < self.age_s:
            return True
        return Night.of(name.opened, name.site) == name.night != Night.of(now, name.site)
