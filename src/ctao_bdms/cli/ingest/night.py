"""bdms night."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctao_bdms.cli.access.track import show_lag
from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.cli.onsite import DEFAULT_SITE, SiteChoice
from ctao_bdms.cli.output import size_text
from ctao_bdms.journal import JournalReader
from ctao_bdms.model import Night

if TYPE_CHECKING:
    from ctao_bdms.cli.output import Output
    from ctao_bdms.nights import NightFile, NightReport

__all__ = ["as_document", "night", "show"]

#: The most files with the same reasons that are all listed, and the number listed if there are more.
_FEW, _SOME = 10, 3


def night(
    night: Annotated[str, Parameter(name="NIGHT", help="The night, the date of its evening.")],
    /,
    *,
    names: Annotated[
        bool, Parameter(negative="", help="List all files, not only some of those that need attention.")
    ] = False,
    scope: Annotated[str, Parameter(help="Only files of this scope; by default of all but the users' own.")] = "",
    site: SiteChoice = DEFAULT_SITE,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Report the state of a night: files found, registered, replicated, quarantined, missing.

    It reads the storage, the catalogue and the quarantine, and changes nothing. With the daemon's journal, it also
    reports files that have disappeared, what other files wait for, and how long the steps took.

    Exit code 0 if no file is open, missing or perhaps missing, else 1. Files in quarantine are accounted for.

    Example: `bdms night 2026-11-21 --config /etc/bdms/ingestd.toml`
    """
    output, meant, chosen = archive.output, site.opened(archive), Night.parse(night)
    with ExitStack() as stack:
        journal = None if meant.journal is None else stack.enter_context(JournalReader(meant.journal))
        report = meant.bdms.nights.report(chosen, rse=meant.rse, scope=scope, journal=journal)
    output.json(as_document(report, names=names))
    show(output, report, names=names)
    return 0 if report.is_complete else 1


def as_document(report: NightReport, *, names: bool) -> dict[str, object]:
    """Return a report as one JSON object; `names` adds the complete files."""
    document: dict[str, object] = {
        "night": report.night,
        "site": report.site,
        "complete": report.is_complete,
        "centres": report.centres,
        "total": report.total,
        "stages": report.stages,
        "streams": list(report),
        "unfinished": list(report.unfinished()),
        "perhaps_missing": report.gaps,
        "lags": report.lags,
    }
    return document | ({"files": list(report.files)} if names else {})


def show(output: Output, report: NightReport, *, names: bool) -> None:
    """Print a report as text."""
    if output.as_json:
        return
    output.text(f"night {report.night} at {report.site}")
    if report.files:
        output.rows(report)
    for stage, tally in report.stages.items():
        if tally.files:
            output.text(f"{stage:<12} {tally.files:>7,} files {size_text(tally.size_bytes):>10}")
    for step, lag in report.lags.items():
        show_lag(output, step, lag)
    if names:
        output.rows(report.files, "\nfiles")
    _reasons(output, report, names=names)
    for gap in report.gaps:
        output.text(f"  perhaps missing: {gap}")
    output.text(report.verdict)


def _reasons(output: Output, report: NightReport, *, names: bool) -> None:
    """Print the incomplete files, grouped by reason, with their names if they are few."""
    groups: dict[tuple[str, str], list[NightFile]] = defaultdict(list)
    for file in report.unfinished():
        groups[file.stage, "; ".join(file.reasons)].append(file)
    for (stage, why), files in groups.items():
        output.text(f"{len(files)} {stage}: {why}")
        shown = files if names or len(files) <= _FEW else files[:_SOME]
        for file in shown:
            output.text(f"  {file.lfn or file.path}")
        if len(shown) < len(files):
            output.text(f"  ... and {len(files) - len(shown)} more; --names says all")
