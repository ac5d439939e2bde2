"""bdms put."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.cli.ingest.ingest import summary
from ctao_bdms.errors import UsageError
from ctao_bdms.model import NewProduct

__all__ = ["put"]


def put(
    paths: Annotated[list[Path], Parameter(name="FILE", help="Files, or folders with everything in them.")],
    /,
    *,
    product: Annotated[
        list[str] | None,
        Parameter(help="Their properties, as key=value: kind, obs_id, night, ...", negative="", consume_multiple=True),
    ] = None,
    storage: Annotated[
        Literal["short-term", "archive"] | None,
        Parameter(help="How long they are kept; by default as in the policy."),
    ] = None,
    release: Annotated[str, Parameter(help="The release, as DataPipe/Observation/DR1.")] = "",
    category: Annotated[Literal["A", "B", "C"] | None, Parameter(help="The processing category.")] = None,
    near: Annotated[str, Parameter(help="The centre or region where they are uploaded.")] = "",
    rse: Annotated[str, Parameter(help="The storage element where they are uploaded.")] = "",
    user: Annotated[str, Parameter(help="Put them into this user's own area.")] = "",
    folder: Annotated[str, Parameter(help="The folder in the user's area.")] = "",
    jobs: Annotated[int, Parameter(help="Number of files to read and upload in parallel.")] = 4,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Check products, upload them to a data centre, register them, and request copies.

    Their names in the archive follow from file names, content and options. It is safe to repeat.

    Example: `bdms put output --release DataPipe/Observation/DR1 --product night=2026-11-21 --near PIC`
    """
    output = archive.output
    options = [f"{word}={value}" for word, value in (("release", release), ("category", category)) if value]
    said = NewProduct.from_words(_words([*(product or []), *options]), user=user, folder=folder)
    bdms = archive.connect()
    with output.bytes_bar("reading and uploading", None) as advance:
        report = bdms.put(
            paths,
            product=said,
            storage=storage,
            rse=rse,
            near=near,
            jobs=max(1, jobs),
            on_read=advance,
            on_uploaded=advance,
        )
    output.rows(report)
    output.line(summary(report))
    return 1 if report.rejected else 0


def _words(given: list[str]) -> dict[str, str]:
    """Parse ``key=value`` options."""
    words: dict[str, str] = {}
    for text in given:
        key, is_said, value = text.partition("=")
        if not is_said or not value:
            raise UsageError(f"{text!r} is not of the form key=value")
        if words.setdefault(key, value) != value:
            raise UsageError(f"{key} is given twice")
    return words
