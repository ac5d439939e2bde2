"""bdms query."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Annotated, ClassVar

from cyclopts import Parameter

from ctao_bdms.access import Products, parse_query
from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive, between
from ctao_bdms.errors import UsageError

if TYPE_CHECKING:
    from ctao_bdms.cli.output import Output

__all__ = ["query"]

#: The width of the other columns, in characters.
_BESIDE = 80


def query(
    words: Annotated[list[str] | None, Parameter(name="WORD=VALUE", help="The conditions.")] = None,
    /,
    *,
    scope: Annotated[str, Parameter(help="The scope to search; by default all but those of users.")] = "",
    sort: Annotated[
        str, Parameter(help="Sort by these words, with commas; -word: descending. By default by name.")
    ] = "",
    limit: Annotated[int | None, Parameter(validator=between(0, 2**63 - 1), help="The most products to show.")] = None,
    count: Annotated[bool, Parameter(negative="", help="Print only the number of products.")] = False,
    lfns: Annotated[bool, Parameter(negative="", help="Print the names only, one per line.")] = False,
    as_csv: Annotated[bool, Parameter(name="--csv", negative="", help="Print comma-separated values.")] = False,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Find products.

    Words are level, kind, category, night, site, telescope, subarray, obs_id, sb_id, target, release, start_time,
    end_time, and all keys of the metadata table. = != < <= > >= compare; commas separate alternatives (with !=, none
    may match); a..b is a range that includes both ends, either of which may be omitted; * in a text matches any
    characters.

    time=begin/end finds data in a time interval, near=ra,dec,radius (degrees) pointings in a cone, copies=1 products
    at exactly one data centre (one request per thousand products), release=latest the newest valid release of each
    collection.

    All conditions must hold. A separate word "or" joins alternatives, and binds less: a=1 or b=2 c=3 means a=1, or
    b=2 and c=3.

    Example: `bdms query level=DL0 night=2026-11-21 telescope=LSTN-01,LSTN-02 --sort=-start_time --limit 20`
    """
    if sum((count, lfns, as_csv, archive.as_json)) > 1 and not (count and archive.as_json):
        raise UsageError("choose one of --count, --lfns, --csv and --json")
    asked = parse_query(words or [])
    bdms = archive.connect()
    output = archive.output
    if count:
        number = bdms.count(scope=scope, **asked)
        output.json({"count": number})
        output.line(str(number))
        return 0
    found = bdms.query(scope=scope, sort=[word for word in sort.split(",") if word], limit=limit, **asked)
    if lfns:
        for product in found:
            print(product.lfn)
    elif as_csv:
        _write_csv(found)
    elif archive.as_json:
        for product in found:
            output.json(product)
    else:
        _show(found, output)
    return 0


def _write_csv(found: Products) -> None:
    """Write a line for each product as it arrives."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(heading for heading, _ in found.columns)
    for product in found:
        writer.writerow(getattr(product, attribute) for _, attribute in found.columns)


class _Named(Products):
    """Products with names without directories."""

    columns: ClassVar = (*Products.columns[:-1], ("file", "file"))


def _show(found: Products, output: Output) -> None:
    """Print a table; if it is too wide, print names without directories, and constant columns below it."""
    rows, same = list(found), ""
    if rows and max(len(str(product.lfn)) for product in rows) + _BESIDE > output.console.width:
        named = _Named(rows)
        columns = dict(zip((heading for heading, _ in named.columns), zip(*named.cells(), strict=True), strict=True))
        constant = {heading: cells[0] for heading, cells in columns.items() if len({*cells}) == 1 < len(cells)}
        same = "".join(f"; {heading} {value or 'unknown'}" for heading, value in constant.items())
        output.rows(named, only=columns.keys() - constant.keys())
    else:
        output.rows(found)
    output.line(f"{len(rows)} products, {sum(product.size_bytes for product in rows):,} bytes{same}")
