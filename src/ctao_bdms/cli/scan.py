"""bdms scan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import attrs
from cyclopts import Parameter

from ctao_bdms.cli.common import Json
from ctao_bdms.cli.output import Output
from ctao_bdms.integrity import scan as scan_file
from ctao_bdms.model import FileFacts, Verdict
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["scan"]


@attrs.frozen
class _Scanned:
    """One row of the table, and one object of the JSON."""

    path: str
    verdict: Verdict
    size_bytes: int
    digests: dict[str, str]
    defects: tuple[object, ...]
    trailing_bytes: int
    hdus: tuple[dict[str, object], ...]

    @classmethod
    def of(cls, facts: FileFacts) -> _Scanned:
        hdus = tuple(
            {"index": hdu.index, "name": hdu.name, "checksum": hdu.checksum, "datasum": hdu.datasum}
            for hdu in facts.hdus
        )
        return cls(
            facts.path, facts.verdict, facts.size_bytes, dict(facts.digests), facts.defects, facts.trailing_bytes, hdus
        )

    @property
    def adler32(self) -> str:
        return self.digests.get("adler32", "")


class _Table(Rows[_Scanned]):
    columns: ClassVar = (
        ("file", "path"),
        ("verdict", "verdict"),
        ("bytes", "size_bytes"),
        ("adler32", "adler32"),
        ("why", "defects"),
    )


def scan(
    files: Annotated[list[Path], Parameter(name="FILE", help="The files to check.")],
    /,
    *,
    jobs: Annotated[int, Parameter(help="How many files are read at once.")] = 2,
    as_json: Json = False,
) -> int:
    """Check files in one read each: structure, FITS checksums, Adler-32, SHA-256. Nothing is changed.

    Example: `bdms scan night/*.fits.fz`
    """
    output = Output(as_json=as_json)
    with output.bytes_bar("checking", _total(files)) as advance, ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        table = _Table(_Scanned.of(facts) for facts in pool.map(lambda path: scan_file(path, on_bytes=advance), files))
    output.rows(table)
    bad = [row for row in table if row.verdict in {Verdict.BAD, Verdict.ERROR}]
    output.line(f"{len(table) - len(bad)} of {len(table)} sound")
    return 1 if bad else 0


def _total(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())
