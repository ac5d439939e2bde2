"""Blocks while they are filled: how large they become, and when they are closed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import Did, FirstRule, Night
from ctao_bdms.naming import BlockName

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["BlockLimits", "BlockPolicy", "FirstRuleOf", "OpenBlock", "held_for_ever"]

#: Says with which rule a block is opened, by its identifier and the storage element where its files are registered.
FirstRuleOf = Callable[[Did, str], FirstRule]


def held_for_ever(block: Did, rse: str) -> FirstRule:
    """Return the rule that holds what is registered in a block until somebody ends it."""
    origin = BlockName.parse(block.name).origin
    return FirstRule(rse_expression=f"centre={origin}" if origin else rse)


@attrs.frozen(kw_only=True)
class BlockLimits:
    """How large a block may become.

    Attributes
    ----------
    files
        The most files.
    size_bytes
        The most bytes; a single file may be larger.
    """

    files: int = 500
    size_bytes: int = 1_000_000_000_000

    def is_full(self, n_files: int, size_bytes: int, more_bytes: int = 0) -> bool:
        """Return whether a block with so much in it does not take another file of `more_bytes`."""
        return n_files > 0 and (n_files >= self.files or size_bytes + more_bytes > self.size_bytes)


@attrs.frozen(kw_only=True)
class OpenBlock:
    """A block that is being filled.

    Attributes
    ----------
    did
        Its identifier.
    n_files, size_bytes
        What it holds.
    """

    did: Did
    n_files: int = 0
    size_bytes: int = 0

    @property
    def name(self) -> BlockName:
        """Its name, taken apart."""
        return BlockName.parse(self.did.name)


@attrs.frozen(kw_only=True)
class BlockPolicy:
    """When a block is closed.

    Attributes
    ----------
    limits
        How large it may become.
    age_s
        How long it may stay open, in seconds.
    """

    limits: BlockLimits = BlockLimits()
    age_s: float = 60.0

    def closes(self, block: OpenBlock, now: dt.datetime) -> bool:
        """Return whether `block` is to be closed.

        It is full or old, or its night has ended since it was opened. A block of an earlier night, opened later for
        files that came late, is filled as any other. If the clock went back behind its opening, its age is unknown, and
        it is closed.
        """
        name = block.name
        age_s = (now - name.opened).total_seconds()
        # Names carry whole seconds: a block can seem to be opened a moment after now.
        if self.limits.is_full(block.n_files, block.size_bytes) or not -1 <= age_s < self.age_s:
            return True
        return Night.of(name.opened, name.site) == name.night != Night.of(now, name.site)
