"""Which rules a block must have: pure.

The on-site copy is held by a rule of its own. The first centre copies from the site as soon as the block is closed; the
second copies from the first, as soon as the first has everything. So the site's uplink carries each byte once, and a
rule never waits for a source that is not there yet.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import RuleState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.model import Rule

__all__ = ["WantedRule", "missing_rules", "wanted_rules"]


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


def missing_rules(wanted: Sequence[WantedRule], existing: Sequence[Rule]) -> tuple[WantedRule, ...]:
    """Return the rules that can be made now: wanted, not there, and whose predecessor is fulfilled.

    A rule that ends some day does not count: what preserves data has no end. The rule that holds the copy on site is
    made before all others; where it is not there and a centre has everything, the space on site was released.
    """
    standing = {rule.rse_expression: rule for rule in existing if rule.expires is None}
    is_released = any(rule.state is RuleState.OK for name, rule in standing.items() if name in _centres(wanted))
    ready = []
    for want in wanted:
        before = standing.get(want.after)
        # The files of a new block lie on site already: the rule that holds them there is fulfilled as it is made.
        is_time = want.after in {"", wanted[0].rse_expression} or (before is not None and before.state is RuleState.OK)
        if want == wanted[0] and is_released:
            continue
        if want.rse_expression not in standing and is_time:
            ready.append(want)
    return tuple(ready)


def _centres(wanted: Sequence[WantedRule]) -> set[str]:
    """Return the RSE expressions of the centres."""
    return {want.rse_expression for want in wanted[1:]}
