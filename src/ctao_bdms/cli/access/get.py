"""bdms get."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ctao_bdms.access import parse_query
from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.errors import UsageError

__all__ = ["get"]


def get(
    wanted: Annotated[
        list[str],
        Parameter(
            name="NAME|WORD=VALUE", help="Names of files, directories or blocks; or conditions as in 'bdms query'."
        ),
    ],
    /,
    *,
    to: Annotated[Path, Parameter(help="The target folder.")] = Path(),
    tree: Annotated[bool, Parameter(negative="", help="Create the directories of the names in the folder.")] = False,
    near: Annotated[str, Parameter(help="The site, centre or storage element whose copies are preferred.")] = "",
    jobs: Annotated[int, Parameter(help="Number of simultaneous transfers.")] = 4,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Retrieve files and verify them while they are written; sound local files are kept.

    A repeated command resumes after an interruption.

    Example: `bdms get level=DL0 night=2026-11-21 telescope=LSTN-01 --to data`
    """
    output, asked = archive.output, _asked(wanted)
    bdms = archive.connect()
    names = wanted if asked is None else bdms.query(**asked)
    with output.files_bar("fetching") as progress:
        fetched = bdms.retrieve(names, to, tree=tree, near=near, jobs=max(1, jobs), progress=progress)
    output.rows(fetched)
    for each in fetched:
        for trouble in each.troubles:
            output.text(f"{each.lfn} at {trouble}")
    output.line(f"{len(fetched) - len(fetched.failed)} of {len(fetched)} files are in {to.absolute()}")
    return 1 if fetched.failed else 0


def _asked(wanted: list[str]) -> dict[str, Any] | None:
    """Return the conditions of a query; None if names were given."""
    if all(text.startswith("/") for text in wanted):
        return None
    if any(text.startswith("/") for text in wanted):
        raise UsageError("give names or words, not both")
    return parse_query(wanted)
