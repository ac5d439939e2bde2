"""bdms plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.cli.ingest.ingest import summary
from ctao_bdms.cli.onsite import Config, SiteChoice

__all__ = ["plan"]


def plan(
    paths: Annotated[list[Path], Parameter(name="PATH", help="Data files, or directories with .trigger files.")],
    /,
    *,
    rse: Annotated[str, Parameter(help="The storage element of the files; by default found from their paths.")] = "",
    jobs: Annotated[int, Parameter(help="Number of files to read in parallel.")] = 2,
    config: Config = None,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Report what `bdms ingest` would do with the same files; nothing is changed.

    The files and the archive are read exactly as by an ingest. With `--config`, it reports what the daemon with these
    settings would do.

    Example: `bdms plan /storage/ctao/acada/DL0 --config /etc/bdms/ingestd.toml`
    """
    output = archive.output
    meant = SiteChoice(config=config, rse=rse).opened(archive)
    with output.bytes_bar("reading", None) as advance:
        foreseen = meant.bdms.plan(
            paths, rse=meant.rse, checks=meant.checks, sidecars=meant.sidecars, jobs=jobs, on_bytes=advance
        )
    if output.as_json:
        output.json(
            {
                "files": list(foreseen),
                "blocks": list(foreseen.blocks),
                "directories": foreseen.directories,
                "requests": foreseen.n_requests,
            }
        )
    else:
        output.rows(foreseen)
        output.rows(foreseen.blocks, "\nblocks")
        for directory in foreseen.directories:
            output.line(f"a new directory: {directory.name}")
        output.line(f"{summary(foreseen)}; {foreseen.n_requests} requests")
    return 1 if foreseen.rejected else 0
