"""bdms rules."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.model import Night, Site

__all__ = ["rules"]


def rules(
    *,
    scope: Annotated[str, Parameter(help="The scope of the blocks.")] = "acada",
    site: Annotated[Site, Parameter(help="The site whose blocks are meant.")] = Site.NORTH,
    night: Annotated[str, Parameter(help="Only this night, the date of its evening; by default all.")] = "",
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Show how far the replication of each block is. Nothing is changed.

    Example: `bdms rules --night 2026-11-21`
    """
    states = archive.connect().replication(scope, site=site, night=Night.parse(night) if night else None)
    output = archive.output
    output.rows(states)
    done = sum(state.is_complete for state in states)
    output.line(f"{done} of {len(states)} blocks are complete at their centres")
    return 0
