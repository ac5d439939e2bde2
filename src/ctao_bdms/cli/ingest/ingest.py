"""bdms ingest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive

if TYPE_CHECKING:
    from ctao_bdms.dry_run import DryRun
    from ctao_bdms.ingest import IngestReport

__all__ = ["ingest", "summary"]


def ingest(
    paths: Annotated[list[Path], Parameter(name="PATH", help="Data files, or directories with .trigger files.")],
    /,
    *,
    rse: Annotated[str, Parameter(help="The storage element of the files; by default found from their paths.")] = "",
    jobs: Annotated[int, Parameter(help="Number of files to read in parallel.")] = 2,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Check files, register them in place, and request copies at two data centres.

    Bad files go to quarantine next to the storage, with the reason, and do not stop the others. It is safe to repeat.

    Example: `bdms ingest /storage/ctao/acada/DL0`
    """
    output = archive.output
    bdms = archive.connect()
    with output.bytes_bar("reading", None) as advance:
        report = bdms.ingest(paths, rse=rse, jobs=jobs, on_bytes=advance)
    output.rows(report)
    output.line(summary(report))
    return 1 if report.rejected else 0


def summary(report: IngestReport | DryRun) -> str:
    """Return the number of files by status."""
    counts = Counter(outcome.status.value for outcome in report)
    return ", ".join(f"{number} {status}" for status, number in counts.items()) or "nothing to ingest"
