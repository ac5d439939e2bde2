"""bdms rules: list, explain, retry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.model import Night, Site

if TYPE_CHECKING:
    from ctao_bdms.cli.output import Output
    from ctao_bdms.replication import Explanations

__all__ = ["rules"]

rules = cyclopts.App(name="rules", help="The replication rules of blocks.", help_format="markdown")

Scope = Annotated[str, Parameter(help="The scope of the blocks; by default all but the users' own.")]
OfSite = Annotated[Site | None, Parameter(help="Only blocks of this site; by default all.")]
OfNight = Annotated[str, Parameter(help="Only this night, the date of its evening; by default all.")]

#: The number of files of a rule to list.
_SOME = 3


@rules.command(name="list")
@rules.default
def list_(*, scope: Scope = "", site: OfSite = None, night: OfNight = "", archive: Archive = DEFAULT_ARCHIVE) -> int:
    """Show the state of the replication of each block. Nothing is changed.

    Example: `bdms rules list --night 2026-11-21`
    """
    states = archive.connect().rules.states(scope, site=site, night=Night.parse(night) if night else None)
    output = archive.output
    output.rows(states)
    done = sum(state.is_complete for state in states)
    output.line(f"{done} of {len(states)} blocks are complete at their centres")
    return 0


@rules.command
def explain(
    what: Annotated[
        str, Parameter(name="BLOCK|RULE", help="A block, by its name, or a rule, by its number; by default all.")
    ] = "",
    /,
    *,
    scope: Scope = "",
    site: OfSite = None,
    night: OfNight = "",
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Explain why copies are missing, and what to do. Nothing is changed.

    Exit code 0 if all copies are complete or in progress, 1 if one needs attention.

    Example: `bdms rules explain --night 2026-11-21`
    """
    chosen = Night.parse(night) if night else None
    found = archive.connect().rules.explain(what, scope=scope, site=site, night=chosen)
    _show(archive.output, found)
    return 1 if any(each.needs_somebody for each in found) else 0


def _show(output: Output, found: Explanations) -> None:
    """Print explanations: paragraphs, or one JSON object per line."""
    for each in found:
        output.json(each)
    if output.as_json:
        return
    for each in found:
        source = f", read from {each.source}" if each.source else ""
        output.text(each.block)
        output.text(f"  copy in {each.rse_expression or 'another centre'}{source}: {each.state or 'no rule yet'}")
        output.text(f"  why:    {each.sentence}")
        output.text(f"  helps:  {each.help}")
        if each.said:
            output.text(f"  said:   {each.said}")
        for attempt in each.attempts[:_SOME]:
            tried = f", tried {attempt.tries} times" if attempt.tries else ""
            output.text(f"  file:   {attempt.lfn} to {attempt.rse}{tried}")
        if len(each.attempts) > _SOME:
            output.text(f"          ... and {len(each.attempts) - _SOME} more files")
    if not found:
        output.text("All copies are there.")


@rules.command
def retry(
    ids: Annotated[list[str], Parameter(name="RULE", help="Rules, by their numbers.")],
    /,
    *,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Retry stuck rules soon, before Rucio does so by itself.

    Example: `bdms rules retry e833a6419bed4dc994f55829cf7da2f1`
    """
    bdms = archive.connect()
    for rule_id in ids:
        bdms.rules.retry(rule_id)
        archive.output.text(f"{rule_id} is tried again soon")
    return 0
