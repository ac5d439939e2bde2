"""bdms scan."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from ctao_bdms.cli.common import Json
from ctao_bdms.cli.ingest.scan_rows import Files, ScannedFile, explain_file
from ctao_bdms.cli.output import Output
from ctao_bdms.errors import UsageError
from ctao_bdms.integrity import scan_many
from ctao_bdms.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["scan"]


def scan(
    *files: Annotated[Path, Parameter(name="FILE", help="The files to check.")],
    digest: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="A digest in addition to adler32, e.g. sha512; repeatable. `adler32` alone computes no other.",
        ),
    ] = ("sha256",),
    explain_each: Annotated[
        bool,
        Parameter(name="--explain", negative="", help="Show the parts of each file and what its format guarantees."),
    ] = False,
    jobs: Annotated[int, Parameter(help="Number of processes.", validator=validators.Number(gte=1, lte=256))] = 1,
    as_json: Json = False,
) -> int:
    """Check files, reading each once: structure, FITS checksums, Adler-32, SHA-256. Nothing is changed.

    Example: `bdms scan night/*.fits.fz`
    """
    if not files:
        raise UsageError("name at least one FILE to check")
    output = Output(as_json=as_json)
    verdicts: Counter[Verdict] = Counter()
    rows: list[ScannedFile] = []
    with output.bytes_bar("checking", _total(files)) as advance:
        for facts in scan_many(files, digest, jobs=jobs, on_bytes=advance):
            verdicts[facts.verdict] += 1
            row = ScannedFile.of(facts, in_full=explain_each)
            output.json(row)
            if explain_each and not as_json:
                explain_file(output, row)
            elif not as_json:
                rows.append(row)
    if rows:
        output.rows(Files(rows))
    bad = verdicts[Verdict.BAD] + verdicts[Verdict.ERROR]
    output.line(f"{verdicts.total() - bad} of {verdicts.total()} sound")
    return 1 if bad else 0


def _total(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())
