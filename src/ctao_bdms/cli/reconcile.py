"""bdms reconcile."""

from __future__ import annotations

import time
from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.errors import UnreachableError
from ctao_bdms.model import Did, Night, Site

__all__ = ["reconcile"]


def reconcile(
    *,
    scope: Annotated[str, Parameter(help="The scope of the blocks.")] = "acada",
    site: Annotated[Site, Parameter(help="The site whose blocks are meant.")] = Site.NORTH,
    night: Annotated[str, Parameter(help="Only this night, the date of its evening; by default all.")] = "",
    wait: Annotated[bool, Parameter(negative="", help="Stay until every copy is there.")] = False,
    timeout_s: Annotated[float, Parameter(name="--timeout", help="Seconds to stay at most.")] = 3600.0,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Give every block the rules that it lacks and whose time has come.

    The first data centre copies from the site, the second from the first. To repeat it is safe.

    Example: `bdms reconcile --night 2026-11-21 --wait`
    """
    output = archive.output
    bdms = archive.connect()
    only = Night.parse(night) if night else None

    def say(did: Did, expression: str) -> None:
        output.line(f"asked for a copy in {expression}: {did.name}")

    until = time.monotonic() + timeout_s
    states = bdms.reconcile(scope, site=site, night=only, on_rule=say)
    while wait and not states.is_complete:
        if time.monotonic() > until:
            output.rows(states)
            raise UnreachableError(f"not every copy was there after {timeout_s:g} s; see above")
        time.sleep(min(1.0, timeout_s))
        states = bdms.reconcile(scope, site=site, night=only, on_rule=say)
    output.rows(states)
    return 0
