"""bdms manifest."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.cli.output import size_text

__all__ = ["manifest"]

Block = Annotated[str, Parameter(name="BLOCK", help="The name of the block, as `bdms rules` shows it.")]

manifest = cyclopts.App(name="manifest", help="The manifests of blocks: their files, with digests.")


@manifest.command
def show(
    block: Block,
    /,
    *,
    at: Annotated[str, Parameter(help="The storage element whose copy is read; by default any.")] = "",
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Show the manifest of a block.

    With `--json`, one object per file with all its metadata.

    Example: `bdms manifest show /ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261121T221500-0a1b2c3d`
    """
    output, found = archive.output, archive.connect().blocks.manifest(block, rse=at)
    for file in found.files:
        output.json(file)
        output.text(f"{file.metadata.get('integrity__sha256', file.adler32)}  {file.size_bytes:>14,}  {file.lfn}")
    output.text(f"{found.block}: {len(found.files)} files, {size_text(found.size_bytes)}")
    return 0


@manifest.command
def verify(
    block: Block,
    /,
    *,
    at: Annotated[str, Parameter(help="Only the copy at this storage element; by default every copy.")] = "",
    deep: Annotated[bool, Parameter(negative="", help="Read back every file of the block as well.")] = False,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Compare the manifest of a block with the catalogue, and optionally with the bytes of all files.

    Exit code 0 if they agree, 1 if they differ.

    Example: `bdms manifest verify /ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261121T221500-0a1b2c3d --deep`
    """
    output = archive.output
    with output.bytes_bar("read back", None) as on_bytes:
        checks = archive.connect().blocks.check_manifests(block, rse=at, deep=deep, on_bytes=on_bytes)
    output.rows(checks)
    return 0 if checks.ok else 1
