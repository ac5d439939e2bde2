"""bdms replay."""

from __future__ import annotations

import fnmatch
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.cli.ingest.night import as_document
from ctao_bdms.cli.onsite import DEFAULT_SITE, SiteChoice
from ctao_bdms.journal import FileEvent, JournalEvents, JournalReader, file_events
from ctao_bdms.model import Night

if TYPE_CHECKING:
    from ctao_bdms.cli.onsite import OnSite
    from ctao_bdms.cli.output import Output
    from ctao_bdms.daemon.replay import ReplayReport
    from ctao_bdms.nights import NightReport

__all__ = ["replay"]


def replay(
    *,
    night: Annotated[str, Parameter(help="The night, the date of its evening.")],
    path: Annotated[str, Parameter(help="Only files whose path matches this pattern, with `*`, `?`, `[...]`.")] = "",
    scope: Annotated[str, Parameter(help="Only files of this scope; by default of all but the users' own.")] = "",
    dry_run: Annotated[bool, Parameter(negative="", help="Report what would be done, and change nothing.")] = False,
    jobs: Annotated[int, Parameter(help="Number of files to read in parallel.")] = 2,
    site: SiteChoice = DEFAULT_SITE,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Show the history of a night, and process incomplete files again, with the checks of `--config`.

    Shows the history of incomplete files, or of all that match `--path`, from the daemon's journal. Then files with
    triggers are read and registered, and blocks get missing rules. Files without a trigger are ignored. It is safe to
    repeat.

    It is refused while a daemon is running: the daemon retries files itself, and takes a file again when its trigger
    is created again. A dry run is possible at any time.

    Exit code 0 if the night is complete afterwards, 1 if not.

    Example: `bdms replay --night 2026-11-21 --config /etc/bdms/ingestd.toml --dry-run`
    """
    from ctao_bdms.daemon import replay as walking

    output, meant, chosen = archive.output, site.opened(archive), Night.parse(night)
    with ExitStack() as stack:
        journal = None if meant.journal is None else stack.enter_context(JournalReader(meant.journal))
        before = meant.bdms.nights.report(chosen, rse=meant.rse, scope=scope, journal=journal)
        history = _history(journal, before, path)
    if not output.as_json and history:
        output.rows(JournalEvents(history), "what happened")
    if dry_run:
        return _foresee(output, meant, before, history, path, jobs)
    with output.bytes_bar("reading", None) as advance:
        done = walking.replay(
            meant.bdms,
            chosen,
            rse=meant.rse,
            scope=scope,
            pattern=path,
            lease=meant.lease,
            lease_silent_s=meant.lease_silent_s,
            journal=meant.journal,
            checks=meant.checks,
            sidecars=meant.sidecars,
            jobs=jobs,
            on_bytes=advance,
            on_rule=lambda did, expression: output.line(f"asked for a copy in {expression}: {did.name}"),
        )
    _show(output, done, history)
    return 0 if done.after.is_complete else 1


def _show(output: Output, done: ReplayReport, history: list[FileEvent]) -> None:
    """Print the result of a replay."""
    output.json(
        {
            "history": history,
            "walked": list(done.report),
            "blocks": list(done.blocks),
            "night": as_document(done.after, names=False),
        }
    )
    if not output.as_json:
        for rows, title in ((done.report, "walked again"), (done.blocks, "blocks")):
            if rows:
                output.rows(rows, title)
        output.text(f"before: {done.before.verdict}")
        output.text(f"now:    {done.after.verdict}")


def _history(journal: JournalReader | None, report: NightReport, pattern: str) -> list[FileEvent]:
    """Return the events of the matching files, or of the incomplete ones, ordered by time."""
    if journal is None:
        return []
    if pattern:
        entries = list(journal.entries(night=report.night, path=pattern))
    else:
        found = (journal.entry(file.path) for file in report.unfinished())
        entries = [entry for entry in found if entry is not None]
    return sorted(file_events(journal, entries), key=lambda event: event.time)


def _foresee(
    output: Output, meant: OnSite, before: NightReport, history: list[FileEvent], pattern: str, jobs: int
) -> int:
    """Report what a replay would do."""
    from ctao_bdms.daemon.replay import replayable_files

    paths = replayable_files(before, pattern)
    with output.bytes_bar("reading", None) as advance:
        foreseen = meant.bdms.plan(
            paths, rse=meant.rse, checks=meant.checks, sidecars=meant.sidecars, jobs=jobs, on_bytes=advance
        )
    left = [
        file
        for file in before.unfinished()
        if file.path not in set(paths) and fnmatch.fnmatchcase(str(file.path), pattern or "*")
    ]
    output.json(
        {
            "history": history,
            "would_walk": list(foreseen),
            "blocks": list(foreseen.blocks),
            "left_alone": left,
            "night": as_document(before, names=False),
        }
    )
    if not output.as_json:
        for rows, title in ((foreseen, "would be walked again"), (foreseen.blocks, "blocks that would be made")):
            if rows:
                output.rows(rows, title)
        for file in left:
            output.text(f"would not be walked: {file.path}: {'; '.join(file.reasons)}")
        output.text(before.verdict)
    return 0 if before.is_complete else 1
