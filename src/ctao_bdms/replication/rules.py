"""Which rules a block must have: pure.

The on-site copy is held by a rule of its own. The first centre copies from the site as soon as the block is closed; the
second copies from the first, as soon as the first has everything. So the site's uplink carries each byte once, and a
rule never waits for a source that is not there yet. What entered at a centre has no copy on site: its chain begins there.
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
    lifetime_s
        After how many seconds the rule ends; None if never.
    """

    rse_expression: str
    source: str = ""
    after: str = ""
    lifetime_s: int | None = None


def wanted_rules(
    onsite_rse: str, centres: Sequence[str], *, lifetime_s: int | None = None
) -> tuple[WantedRule, ...]:
    """Return the rules of a closed block, in the order in which they can be made.

    Parameters
    ----------
    onsite_rse
        The storage element on site that holds the block; empty if it entered at the first of `centres`.
    centres
        The centres that keep copies, the one that receives them from the site first.
    lifetime_s
        After how many seconds the rules end; None if never.
    """
    chain = [*([onsite_rse] if onsite_rse else []), *(f"centre={centre}" for centre in centres)]
    first = WantedRule(rse_expression=chain[0], lifetime_s=lifetime_s)
    return (
        first,
        *(
            WantedRule(rse_expression=target, source=source, after=source, lifetime_s=lifetime_s)
            for source, target in itertools.pairwise(chain)
        ),
    )


def missing_rules(wanted: Sequence[WantedRule], existing: Sequence[Rule]) -> tuple[WantedRule, ...]:
    """Return the rules that can be made now: wanted, not there, and whose predecessor is fulfilled.

    A rule that ends some day does not count where the wanted ones do not: what preserves data has no end.
    """
    may_end = any(want.lifetime_s is not None for want in wanted)
    standing = {rule.rse_expression: rule for rule in existing if may_end or rule.expires is None}
    ready = []
    for want in wanted:
        before = standing.get(want.after)
        # The files of a new block lie where the chain begins: the rule that holds them is fulfilled as it is made.
        is_time = want.after in {"", wanted[0].rse_expression} or (before is not None and before.state is RuleState.OK)
        if want.rse_expression not in standing and is_time:
            ready.append(want)
    return tuple(ready)
