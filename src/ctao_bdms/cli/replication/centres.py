"""bdms centres: list, lose, regain."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive

__all__ = ["centres"]

centres = cyclopts.App(
    name="centres", help="The data centres that keep copies, and what is expected of them.", help_format="markdown"
)

Name = Annotated[str, Parameter(name="CENTRE", help="The name of the centre.")]


@centres.command(name="list")
def list_(*, archive: Archive = DEFAULT_ARCHIVE) -> int:
    """List the data centres and their states: in use, full, waited for, closed, lost.

    Exit code 0 if all are in use, 1 if not.

    Example: `bdms centres list`
    """
    found = archive.connect().rules.centres()
    archive.output.rows(found)
    return 1 if any(centre.state != "in use" for centre in found) else 0


@centres.command
def lose(
    centre: Name,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")],
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Mark a centre as lost: it is not read or written any more, and other centres replace it.

    Its rules are kept until all copies are elsewhere. Only the archive administrator may do this.

    Example: `bdms centres lose PIC --reason "the tape library burnt down"`
    """
    bdms = archive.connect()
    for rse in bdms.rules.lose_centre(centre, reason):
        archive.output.text(f"{rse} is marked as lost, and shut")
    archive.output.text("Other centres take its place: bdms reconcile --dry-run says which.")
    return 0


@centres.command
def regain(centre: Name, /, *, archive: Archive = DEFAULT_ARCHIVE) -> int:
    """Unmark a lost centre, and open it for reading and writing.

    Example: `bdms centres regain PIC`
    """
    for rse in archive.connect().rules.regain_centre(centre):
        archive.output.text(f"{rse} is open again")
    return 0
