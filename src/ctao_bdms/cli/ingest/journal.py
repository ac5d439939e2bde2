"""bdms journal."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import Json
from ctao_bdms.cli.output import Output
from ctao_bdms.journal import FileState, JournalEntries, JournalEvents, JournalReader, file_events
from ctao_bdms.model import Night

__all__ = ["journal"]


def journal(
    *,
    file: Annotated[
        Path | None, Parameter(name="--journal", help="The journal; by default that of the settings.")
    ] = None,
    config: Annotated[
        Path | None, Parameter(help="The settings of the daemon, a TOML file; the environment counts, too.")
    ] = None,
    state: Annotated[FileState | None, Parameter(help="Only files in this state.")] = None,
    night: Annotated[str, Parameter(help="Only files of this night, the date of its evening.")] = "",
    path: Annotated[str, Parameter(help="Only files whose path matches this pattern, with `*`, `?`, `[...]`.")] = "",
    waiting: Annotated[bool, Parameter(negative="", help="Only files that are waiting.")] = False,
    events: Annotated[bool, Parameter(negative="", help="Show the history of the files.")] = False,
    limit: Annotated[int, Parameter(help="The most files in a table; JSON has all.")] = 1000,
    as_json: Json = False,
) -> int:
    """Show the state of each file that the daemon has seen. The daemon may be running.

    Example: `bdms journal --config /etc/bdms/ingestd.toml --night 2026-11-21 --state quarantined`
    """
    output = Output(as_json=as_json)
    with JournalReader(file or _of_settings(config)) as reader:
        chosen = reader.entries(state=state, night=Night.parse(night) if night else None, path=path, waiting=waiting)
        if as_json:
            for row in file_events(reader, chosen) if events else chosen:
                output.json(row)
            return 0
        shown = list(islice(chosen, limit))
        output.rows(JournalEvents(file_events(reader, shown)) if events else JournalEntries(shown))
        more = f"; more match than the {limit} that are shown" if next(chosen, None) is not None else ""
        tallies = reader.tallies(Night.parse(night) if night else None)
        counts = ", ".join(f"{tally.files} {name.value}" for name, tally in tallies.items() if tally.files)
        output.line(f"{night or 'all nights'}: {counts or 'no files'}{more}")
        causes = ", ".join(f"{tally.files} for {cause}" for cause, tally in reader.waiting().items())
        if causes:
            output.line(f"waiting: {causes}")
    return 0


def _of_settings(config: Path | None) -> Path:
    """Return the journal of the daemon with these settings."""
    from ctao_bdms.daemon.config import settings_from

    return settings_from(config, os.environ).journal
