"""bdms locate."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive

__all__ = ["locate"]


def locate(
    lfns: Annotated[list[str], Parameter(name="LFN", help="Logical file names.")],
    /,
    *,
    near: Annotated[str, Parameter(help="The site or centre whose copies come first.")] = "",
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Show where the copies of files are, of each the best first.

    Example: `bdms locate /ctao/acada/DL0/LSTN-01/... --near PIC`
    """
    archive.output.rows(archive.connect().locate(lfns, near=near))
    return 0
