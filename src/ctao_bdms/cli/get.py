"""bdms get."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctao_bdms.access import parse_words
from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.errors import UsageError
from ctao_bdms.model import Lfn

if TYPE_CHECKING:
    from ctao_bdms.facade import Bdms

__all__ = ["get"]


def get(
    wanted: Annotated[list[str], Parameter(name="LFN|WORD=VALUE", help="Names, or words as for 'bdms query'.")],
    /,
    *,
    to: Annotated[Path, Parameter(help="The folder where the files go.")] = Path(),
    tree: Annotated[bool, Parameter(negative="", help="Keep the directories of the names below the folder.")] = False,
    near: Annotated[str, Parameter(help="The site or centre whose copies come first.")] = "",
    jobs: Annotated[int, Parameter(help="How many files are fetched at once.")] = 4,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Fetch files, verified while they are written; what is there already and sound is left as it is.

    Example: `bdms get level=DL0 night=2026-11-21 telescope=LSTN-01 --to data`
    """
    output = archive.output
    bdms = archive.connect()
    lfns = _names(bdms, wanted)
    with output.bytes_bar("fetching", None) as advance:
        fetched = bdms.retrieve(lfns, to, tree=tree, near=near, jobs=max(1, jobs), on_bytes=advance)
    output.rows(fetched)
    output.line(f"{len(fetched) - len(fetched.failed)} of {len(fetched)} files are in {to.absolute()}")
    return 1 if fetched.failed else 0


def _names(bdms: Bdms, wanted: list[str]) -> list[Lfn]:
    """Return the names given, or those that answer the words given."""
    if all(text.startswith("/") for text in wanted):
        return [Lfn(text) for text in wanted]
    if any(text.startswith("/") for text in wanted):
        raise UsageError("give names or words, not both")
    return [product.lfn for product in bdms.query(**parse_words(wanted))]
