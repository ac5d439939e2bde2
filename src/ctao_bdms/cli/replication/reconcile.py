"""bdms reconcile."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive, Timeout, between
from ctao_bdms.errors import UnreachableError
from ctao_bdms.model import Did, Night, Site

if TYPE_CHECKING:
    from ctao_bdms.cli.output import Output
    from ctao_bdms.replication import Difference

__all__ = ["reconcile"]


def reconcile(
    *,
    scope: Annotated[str, Parameter(help="The scope of the blocks; by default all but the users' own.")] = "",
    site: Annotated[Site | None, Parameter(help="Only blocks of this site; by default all.")] = None,
    night: Annotated[str, Parameter(help="Only this night, the date of its evening; by default all.")] = "",
    dry_run: Annotated[
        bool, Parameter(negative="", help="Report what would be done, and why; change nothing.")
    ] = False,
    prune: Annotated[
        bool, Parameter(negative="", help="End the rules of centres that no longer keep a block, once it is elsewhere.")
    ] = False,
    patience_h: Annotated[
        float,
        Parameter(
            name="--patience",
            validator=between(0, 1_000_000),
            help="Hours to wait for a closed centre.",
        ),
    ] = 24.0,
    wait: Annotated[
        bool, Parameter(negative="", help="Wait until every copy is complete and held by its rule.")
    ] = False,
    timeout_s: Timeout = 3600.0,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Compare the required rules of blocks with the existing ones, and apply the differences.

    The first data centre copies from the site, the second from the first. A lost centre is replaced by the next one.
    Rules of other accounts are not changed. It is safe to repeat.

    Example: `bdms reconcile --night 2026-11-21 --dry-run`
    """
    output = archive.output
    rules = archive.connect().rules
    only = Night.parse(night) if night else None
    patience = dt.timedelta(hours=patience_h)
    if dry_run:
        _show(output, rules.compare(scope, site=site, night=only, patience=patience))
        return 0

    def say(did: Did, expression: str) -> None:
        output.line(f"asked for a copy in {expression}: {did.name}")

    until = time.monotonic() + timeout_s
    states = rules.reconcile(scope, site=site, night=only, patience=patience, prune=prune, on_rule=say)
    while wait and (states.awaits_locks or not states.is_complete):
        if time.monotonic() > until:
            output.rows(states)
            raise UnreachableError(f"not all copies are complete after {timeout_s:g} s; see bdms rules explain")
        time.sleep(min(1.0, timeout_s))
        states = rules.reconcile(scope, site=site, night=only, patience=patience, prune=prune, on_rule=say)
    output.rows(states)
    return 0


def _show(output: Output, found: Difference) -> None:
    """Print what would be done."""
    output.rows(found)
    if not found:
        output.line("Nothing is to be done: the rules are as they must be.")
