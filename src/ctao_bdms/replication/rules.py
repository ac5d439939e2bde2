"""The rules of a block, from its placement (pure).

The on-site copy is held by a rule of its own. The first centre copies from the site as soon as the block is closed; the
second copies from the first, as soon as the first has everything. So the site's uplink carries each byte once, and a
rule never waits for a source that is not there yet.
What entered at a centre has no copy on site: its chain begins there, with the rule of that centre if it keeps a copy,
else with the first centre, which reads from it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import DEFAULT_ACTIVITY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ctao_bdms.model import Rule
    from ctao_bdms.replication.terms import Retention

__all__ = ["WantedRule", "centre_of", "centres_held", "wanted_rules"]


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
        When the copy's time is over, from the making of the rule; None if never.
    activity
        What its transfers are for.
    priority
        Priority of its transfers: 5 is the most urgent.
    """

    rse_expression: str
    source: str = ""
    after: str = ""
    lifetime_s: int | None = None
    activity: str = DEFAULT_ACTIVITY
    priority: int = 3


def wanted_rules(
    onsite_rse: str,
    centres: Sequence[str],
    retention: Retention | None = None,
    tape: Collection[str] = (),
    *,
    origin: str = "",
) -> tuple[WantedRule, ...]:
    """Return the rules of a closed block, in the order in which they can be made.

    Parameters
    ----------
    onsite_rse
        The storage element on site that holds the block; empty if it entered at a centre.
    centres
        The centres that keep copies, the one that receives them from the site first.
    retention
        What the policy says of its retention class.
    tape
        Centres that have tape: the first of them keeps its copy there, if the policy asks for one.
    origin
        The centre where it entered; empty if that was on site.
    """
    on_tape = next((centre for centre in centres if centre in tape), "") if retention and retention.tape else ""
    targets = [f"centre={centre}" + ("&tape" if centre == on_tape else "") for centre in centres]
    begin = onsite_rse or f"centre={origin}"
    first = WantedRule(rse_expression=begin)
    if retention is not None:
        first = attrs.evolve(
            first,
            lifetime_s=retention.lifetime_s,
            activity=retention.activity,
            priority=retention.priority,
        )
    # Only what holds the files where they are has no source: a centre that must have them on tape reads them, too.
    begins = (first,) if onsite_rse or targets[:1] == [begin] else ()
    chain = targets if targets[:1] == [begin] else [begin, *targets]
    return (
        *begins,
        *(
            attrs.evolve(first, rse_expression=target, source=source, after=source)
            for source, target in itertools.pairwise(chain)
        ),
    )


def centre_of(expression: str) -> str:
    """Return the centre in an RSE expression of ours; empty if it has none.

    Examples
    --------
    >>> centre_of("centre=PIC&tape")
    'PIC'
    """
    return next((part.removeprefix("centre=") for part in expression.split("&") if part.startswith("centre=")), "")


def centres_held(rules: Iterable[Rule], retention: Retention | None = None) -> tuple[str, ...]:
    """Return the centres in the rules of a block, oldest first; rules with an end count only if the class has one."""
    ends = retention is not None and retention.lifetime_s is not None
    named = (centre_of(rule.rse_expression) for rule in rules if rule.expires is None or ends)
    return tuple(dict.fromkeys(centre for centre in named if centre))
