"""bdms query."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.access import parse_words
from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive

__all__ = ["query"]


def query(
    words: Annotated[list[str] | None, Parameter(name="WORD=VALUE", help="What to look for.")] = None,
    /,
    *,
    scope: Annotated[str, Parameter(help="Where to look; by default in all scopes but the users' own.")] = "",
    limit: Annotated[int | None, Parameter(help="The most products to show.")] = None,
    lfns: Annotated[bool, Parameter(negative="", help="Print the names only, one a line.")] = False,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Find products.

    Words are level, kind, night, site, telescope, subarray, obs_id, sb_id, release, time=begin/end, and all keys of the
    metadata table. Commas separate alternatives; = != < <= > >= compare.

    Example: `bdms query level=DL0 night=2026-11-21 telescope=LSTN-01,LSTN-02 time=2026-11-21T22:00/2026-11-21T23:00`
    """
    found = archive.connect().query(scope=scope, limit=limit, **parse_words(words or []))
    output = archive.output
    if lfns:
        for product in found:
            print(product.lfn)
        return 0
    output.rows(found)
    output.line(f"{len(found)} products, {sum(product.size_bytes for product in found):,} bytes")
    return 0
