"""bdms evidence."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive

__all__ = ["evidence"]


def evidence(
    block: Annotated[str, Parameter(name="BLOCK", help="The name of the block, as `bdms rules` shows it.")],
    /,
    *,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Show who verified which copy of a block, how, when, and who released its copy on site.

    Example: `bdms evidence /ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261121T221500-0a1b2c3d`
    """
    archive.output.rows(archive.connect().blocks.evidence(block))
    return 0
