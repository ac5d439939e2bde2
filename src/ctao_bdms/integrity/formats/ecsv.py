"""ECSV: text tables with a header that declares their columns."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

from ctao_bdms.errors import MissingExtraError
from ctao_bdms.integrity.formats.attributes import keywords_of
from ctao_bdms.integrity.formats.port import Findings
from ctao_bdms.model import Defect, DefectKind

if TYPE_CHECKING:
    from ctao_bdms.integrity.formats.ecsv_header import EcsvHeader
    from ctao_bdms.integrity.source import SourceFile

__all__ = ["ECSV", "EcsvFormat"]

_FIRST = re.compile(r"# %ECSV \d+\.\d+\s*")
_MAX_HEADER_BYTES = 1 << 20
_MAX_RECORD_BYTES = 1 << 24
#: So many first bytes show whether it is ECSV at all.
_PROBE_BYTES = 1 << 16
#: The memory of a line in addition to its text, in bytes.
_LINE_BYTES = 64


class EcsvFormat:
    """The format of names that end in ``.ecsv``."""

    name = "ecsv"
    suffixes = (".ecsv",)
    promise = "ECSV: a text header declares the columns; every row must fit. There are no checksums."

    def begin(self, name: str) -> _EcsvReading:
        """Begin to read a file.

        Raises
        ------
        MissingExtraError
            If PyYAML is not installed.
        """
        if importlib.util.find_spec("yaml") is None:
            raise MissingExtraError("formats", "yaml")
        return _EcsvReading()


class _EcsvReading:
    """Reads a file line by line; holds one record in memory."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._open: list[str] = []
        self._open_bytes = 0
        self._lines = 0
        self._rows = 0
        self._texts: list[str] | None = []
        self._text_bytes = 0
        self._header: EcsvHeader | None = None
        self._has_names = False
        self._defects: list[Defect] = []
        self._bad_values = 0
        self._first_bad_value = ""

    def feed(self, piece: memoryview) -> None:
        """Process the lines that end in this piece."""
        if self._defects:
            return
        first, *others = bytes(piece).split(b"\n")
        self._rest += first
        if others:
            self._line(bytes(self._rest))
            self._rest = bytearray(others.pop())
            for line in others:
                if not self._defects:
                    self._line(line)
        if not self._defects and len(self._rest) + self._open_bytes > _MAX_RECORD_BYTES:
            self._fail(
                DefectKind.STRUCTURE, f"the row at line {self._lines + 1} is longer than {_MAX_RECORD_BYTES} bytes"
            )

    def preview(self, source: SourceFile) -> Findings:
        """Return the defects of the first lines."""
        probe = _EcsvReading()
        probe.feed(source.first_bytes(_PROBE_BYTES))
        if not probe._lines:  # the first line of ECSV is short
            probe._line(bytes(probe._rest))
        return Findings(kind="ECSV table", defects=tuple(probe._defects))

    def finish(self, path: str | None) -> Findings:
        """Return the findings."""
        if not self._defects and (self._rest or self._open):
            if self._lines:
                self._fail(DefectKind.TRUNCATED, "the last line has no end")
            else:
                self._line(bytes(self._rest))
        defects = list(self._defects)
        if not defects and not self._has_names:
            defects.append(Defect(DefectKind.TRUNCATED, "it ends before the line with the names of the columns"))
        if self._bad_values:
            message = (
                f"{self._bad_values} values are not of the type of their column, the first {self._first_bad_value}"
            )
            defects.append(Defect(DefectKind.CORRUPT, message))
        keywords, faults = keywords_of(self._header.meta) if self._header is not None else ({}, ())
        return Findings(kind="ECSV table", keywords=keywords, defects=(*defects, *faults))

    def _fail(self, kind: DefectKind, message: str) -> None:
        self._defects.append(Defect(kind, message))

    def _line(self, data: bytes) -> None:
        """Process one line without its newline."""
        self._lines += 1
        try:
            line = data.decode().removesuffix("\r")
        except UnicodeDecodeError:
            kind = DefectKind.NOT_A_PRODUCT if self._lines == 1 else DefectKind.CORRUPT
            self._fail(kind, f"line {self._lines} is not UTF-8 text")
            return
        if self._lines == 1 and not _FIRST.fullmatch(line):
            self._fail(DefectKind.NOT_A_PRODUCT, "the name promises ECSV, but the first line is not '# %ECSV 1.0'")
        elif self._texts is not None and line.startswith("#"):
            self._text_bytes += len(data)
            if self._text_bytes > _MAX_HEADER_BYTES:
                self._fail(DefectKind.STRUCTURE, f"the header is longer than {_MAX_HEADER_BYTES} bytes")
            else:
                self._texts.append("---" if self._lines == 1 else line[1:].removeprefix(" "))
        elif self._open or (line.strip() and not line.startswith("#")):
            is_odd = line.count('"') % 2 == 1
            if is_odd != bool(self._open):  # an open quote: the record continues in the next line
                self._open.append(line)
                self._open_bytes += len(data) + _LINE_BYTES
            else:
                record = "\n".join((*self._open, line))
                self._open, self._open_bytes = [], 0
                self._take(record)

    def _take(self, record: str) -> None:
        """Process one record: the column names, or a row."""
        if self._texts is not None:
            self._read_header("\n".join(line for line in self._texts if line.strip() != "---"))
            self._texts = None
        if self._header is None:
            return
        values = _split(record, self._header.delimiter)
        if not self._has_names:
            self._has_names = True
            if values != [name for name, _ in self._header.columns]:
                self._fail(DefectKind.STRUCTURE, "the names of the columns are not those that the header declares")
            return
        self._rows += 1
        if len(values) != len(self._header.columns):
            message = f"row {self._rows} has {len(values)} values, but there are {len(self._header.columns)} columns"
            self._fail(DefectKind.STRUCTURE, message)
            return
        for (name, parse), value in zip(self._header.columns, values, strict=True):
            if parse is not None and value:
                try:
                    parse(value)
                except (ValueError, LookupError):
                    self._bad_values += 1
                    self._first_bad_value = self._first_bad_value or f"{value[:40]!a} in {name!a}"

    def _read_header(self, text: str) -> None:
        from ctao_bdms.integrity.formats.ecsv_header import parse_header

        header = parse_header(text)
        if isinstance(header, str):
            self._fail(DefectKind.STRUCTURE, f"the header {header}")
        else:
            self._header = header


def _split(record: str, delimiter: str) -> list[str]:
    """Split a record into its values."""
    if '"' not in record:
        values = record.split(delimiter)
    else:
        values, start = [], 0
        while start <= len(record):
            if record[start : start + 1] == '"':
                end = start + 1
                while (end := record.find('"', end)) >= 0 and record[end + 1 : end + 2] == '"':
                    end += 2
                values.append(record[start + 1 : end].replace('""', '"'))
                end += 1
                if record[end : end + 1] not in ("", delimiter):
                    return []
            else:
                end = record.find(delimiter, start)
                end = len(record) if end < 0 else end
                values.append(record[start:end])
            start = end + 1
        return values
    return [value for value in values if value] if delimiter == " " else values


#: The instance of this format.
ECSV = EcsvFormat()
