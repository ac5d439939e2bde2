"""The output of bdms scan: a row of the table, an object of the JSON, or all parts of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.integrity import DL0_KINDS, format_of
from ctao_bdms.integrity.formats import OPAQUE, formats
from ctao_bdms.model import Defect, FileFacts, Flag, HduFacts, SumStatus, Verdict
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from ctao_bdms.cli.output import Output

__all__ = ["Files", "ScannedFile", "explain_file"]


@attrs.frozen
class _Part:
    """An HDU in the JSON."""

    index: int
    name: str
    checksum: SumStatus
    datasum: SumStatus


@attrs.frozen
class _FullPart(_Part):
    """An HDU in the full output: also offset, size, and the number of rows of a table."""

    offset: int
    size_bytes: int
    rows: int | None
    data_sum32: int

    @property
    def label(self) -> str:
        return _shown(self.name)

    @property
    def count(self) -> str:
        return "" if self.rows is None else str(self.rows)


class _Parts(Rows[_FullPart]):
    columns: ClassVar = (
        ("HDU", "index"),
        ("name", "label"),
        ("offset", "offset"),
        ("bytes", "size_bytes"),
        ("rows", "count"),
        ("DATASUM", "datasum"),
        ("CHECKSUM", "checksum"),
    )


@attrs.frozen(kw_only=True)
class ScannedFile:
    """An object of the JSON, and a row of the table."""

    path: str
    verdict: Verdict
    format: str
    kind: str
    flags: tuple[Flag, ...]
    defects: tuple[Defect, ...]
    size_bytes: int
    digests: dict[str, str]
    hdus: tuple[_Part, ...]
    trailing_bytes: int

    @classmethod
    def of(cls, facts: FileFacts, *, in_full: bool = False) -> ScannedFile:
        """Return the displayed facts of a file."""
        names = (field.name for field in attrs.fields(cls) if field.name not in {"hdus", "digests"})
        return cls(
            **{name: getattr(facts, name) for name in names},
            digests=dict(facts.digests),
            hdus=tuple((_full_part if in_full else _part)(hdu) for hdu in facts.hdus),
        )

    @property
    def what(self) -> str:
        """The kind of product if known, else the format; empty for a file that could not be read."""
        return "" if self.verdict is Verdict.ERROR else self.kind or self.format

    @property
    def adler32(self) -> str:
        """The digest in the table."""
        return self.digests.get("adler32", "")

    @property
    def label(self) -> str:
        """The path without control characters."""
        return _shown(self.path)


class Files(Rows[ScannedFile]):
    """The table of verdicts."""

    columns: ClassVar = (
        ("file", "label"),
        ("verdict", "verdict"),
        ("kind", "what"),
        ("bytes", "size_bytes"),
        ("adler32", "adler32"),
        ("flags", "flags"),
        ("why", "defects"),
    )


def explain_file(output: Output, file: ScannedFile) -> None:
    """Print all facts of one file: its parts, its defects, and what its format guarantees.

    Parameters
    ----------
    file
        The file, with full parts.
    """
    kind = f", {file.kind}" if file.kind else ""
    what = "" if file.verdict is Verdict.ERROR else f", {file.format}{kind}, {file.size_bytes} bytes"
    output.text(f"{file.label}: {file.verdict.value}{what}")
    for name, value in file.digests.items():
        output.text(f"  {name} {value}")
    parts = [part for part in file.hdus if isinstance(part, _FullPart)]
    if parts:
        output.rows(_Parts(parts))
    for flag in file.flags:
        output.text(f"  flag: {flag.value}" + (f" ({file.trailing_bytes})" if flag is Flag.TRAILING_BYTES else ""))
    for defect in file.defects:
        output.text(f"  {defect}")
    if file.verdict is not Verdict.ERROR:
        for sentence in _promises(file):
            output.text(f"  {sentence}")
    output.text("")


def _promises(file: ScannedFile) -> list[str]:
    """Return what the format of a file guarantees, and what its kind requires."""
    known = (format_of(file.path), *formats().values(), OPAQUE)  # the content may have another format than the suffix
    sentences = [each.promise for each in known if each.name == file.format][:1]
    for kind in DL0_KINDS:
        if kind.name == file.kind:
            tables = (table.name + ("" if table.rows is None else f" (rows: {table.rows})") for table in kind.tables)
            sentences.append(f"{kind.name}: has the tables {', '.join(tables)}.")
    return sentences


def _part(hdu: HduFacts) -> _Part:
    return _Part(index=hdu.index, name=hdu.name, checksum=hdu.checksum, datasum=hdu.datasum)


def _full_part(hdu: HduFacts) -> _FullPart:
    # A compressed table has its number of rows in ZNAXIS2; an image has no rows.
    is_table = hdu.keywords.get("XTENSION") in {"BINTABLE", "TABLE"} and hdu.keywords.get("ZIMAGE") is not True
    rows = hdu.keywords.get("ZNAXIS2", hdu.keywords.get("NAXIS2"))
    return _FullPart(
        **attrs.asdict(_part(hdu)),
        offset=hdu.offset,
        size_bytes=hdu.header_bytes + hdu.data_bytes,
        rows=rows if is_table and isinstance(rows, int) else None,
        data_sum32=hdu.data_sum32,
    )


def _shown(text: str) -> str:
    """Return a text without control characters of terminals."""
    return text if text.isprintable() else ascii(text)[1:-1]
