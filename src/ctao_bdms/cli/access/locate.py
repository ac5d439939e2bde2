"""bdms locate."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive

__all__ = ["locate"]


def locate(
    names: Annotated[list[str], Parameter(name="NAME", help="Names of files, directories or blocks.")],
    /,
    *,
    near: Annotated[str, Parameter(help="The site, centre or storage element whose copies are preferred.")] = "",
    protocol: Annotated[str, Parameter(help="Only copies with this protocol, e.g. root or https.")] = "",
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Show the copies of files and their URLs, the best copy first.

    Example: `bdms locate /ctao/acada/DL0/LSTN-01/... --near PIC --protocol root --json`
    """
    archive.output.rows(archive.connect().locate(names, near=near, protocol=protocol))
    return 0
