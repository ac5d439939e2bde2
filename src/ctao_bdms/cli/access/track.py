"""bdms track."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.cli.onsite import DEFAULT_SITE, SiteChoice
from ctao_bdms.errors import UsageError
from ctao_bdms.journal import JournalReader
from ctao_bdms.model import Night, Site

if TYPE_CHECKING:
    from ctao_bdms.cli.output import Output
    from ctao_bdms.nights import Lag

__all__ = ["show_lag", "track"]

_WIDTH = 40


def track(
    what: Annotated[str, Parameter(name="FILE|BLOCK|night=DATE", help="What to look for.")] = "",
    /,
    *,
    scope: Annotated[
        str, Parameter(help="The scope of the blocks of a night; by default all but the users' own.")
    ] = "",
    of_site: Annotated[
        Site | None, Parameter(name="--site", help="The site of the blocks of a night; by default all.")
    ] = None,
    latency: Annotated[
        bool, Parameter(negative="", help="Show the distribution of times to the second copy, from the journal.")
    ] = False,
    since: Annotated[str, Parameter(help="The first night of the distribution; by default all.")] = "",
    site: SiteChoice = DEFAULT_SITE,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Show copies: their storage elements, when they were complete, their rules, and how they were verified.

    With `--latency`, show the time from the trigger to the last required copy.

    Example: `bdms track night=2026-11-21`
    """
    output = archive.output
    if latency:
        return _latency(output, site.opened(archive).journal, Night.parse(since) if since else None)
    if not what:
        raise UsageError("nothing to track; give a file, a block, or night=DATE; or --latency")
    bdms = archive.connect()
    if what.startswith("night="):
        output.rows(bdms.nights.track(what.removeprefix("night="), scope=scope, site=of_site))
    else:
        output.rows(bdms.track(what))
    return 0


def _latency(output: Output, journal: object, since: Night | None) -> int:
    """Print the times to the second copy."""
    from pathlib import Path

    from ctao_bdms.nights import Lag

    if not isinstance(journal, Path):
        raise UsageError("--latency needs the daemon's journal; give --config FILE or --journal FILE")
    with JournalReader(journal) as reader:
        lag = Lag.of(reader.lags_s(since or Night(dt.date.min)))
    output.json({"since": since, "trigger_to_replicated": lag})
    if not output.as_json:
        if lag is None:
            output.text("The journal knows no file that has both its times.")
        else:
            show_lag(output, "trigger to replicated", lag)
    return 0


def show_lag(output: Output, step: str, lag: Lag) -> None:
    """Print the duration of a step: its quantiles, and a bar for each interval."""
    times = f"50 % {lag.p50_s:.1f} s, 95 % {lag.p95_s:.1f} s, all {lag.max_s:.1f} s"
    output.text(f"{step}: {times}, of {lag.files} files")
    most = max((span.files for span in lag.spans), default=0)
    for span in lag.spans:
        bar = "#" * max(1, round(_WIDTH * span.files / most)) if span.files else ""
        output.text(f"  {span.label:>16} {span.files:>9,} {bar}".rstrip())
