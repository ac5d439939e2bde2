"""Which rules a block must have: pure.

The on-site copy is held by a rule of its own. The first centre copies from the site as soon as the block is closed; the
second copies from the first, as soon as the first has everything. So the site's uplink carries each byte once, and a
rule never waits for a source that is not there yet.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WantedRule", "wanted_rules"]


@attrs.frozen(kw_only=True)
class WantedRule:
    """A rule that a block must have.

    Attributes
    ----------
    rse_expression
        Where the copy shall be.
    source
        Where it is read from; empty if it is there already.
    after
        The RSE expression of the rule that must be fulfilled first; empty if none.
    """

    rse_expression: str
    source: str = ""
    after: str = ""


def wanted_rules(onsite_rse: str, centres: Sequence[str]) -> tuple[WantedRule, ...]:
    """Return the rules of a closed block, in the order in which they can be made.

    Parameters
    ----------
    onsite_rse
        The storage element on site that holds the block.
    centres
        The centres that keep copies, the one that receives them from the site first.
    """
    chain = [onsite_rse, *(f"centre={centre}" for centre in centres)]
    first = WantedRule(rse_expression=onsite_rse)
    return (
        first,
        *(
            WantedRule(rse_expression=target, source=source, after=source)
            for source, target in itertools.pairwise(chain)
        ),
    )
