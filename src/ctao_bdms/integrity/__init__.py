"""Check the integrity of files, and copy them with verification, in one pass each."""

from ctao_bdms.integrity.copying import TEMPORARY_PATTERN, FileDigests, copy_verified, digest_file
from ctao_bdms.integrity.errors import (
    ChecksumMismatchError,
    NotAFileError,
    ScanInterruptedError,
    SourceChangedError,
    UnreadableError,
)
from ctao_bdms.integrity.formats.port import FileFormat, Findings, Reading
from ctao_bdms.integrity.formats.table import format_of
from ctao_bdms.integrity.many import scan_many
from ctao_bdms.integrity.scanner import Scanner
from ctao_bdms.integrity.scanning import scan
from ctao_bdms.integrity.structure import DL0_KINDS, ProductKind, RequiredTable, kind_of

__all__ = [
    "ChecksumMismatchError",
    "DL0_KINDS",
    "FileDigests",
    "FileFormat",
    "Findings",
    "NotAFileError",
    "ProductKind",
    "Reading",
    "RequiredTable",
    "ScanInterruptedError",
    "Scanner",
    "SourceChangedError",
    "TEMPORARY_PATTERN",
    "UnreadableError",
    "copy_verified",
    "digest_file",
    "format_of",
    "kind_of",
    "scan",
    "scan_many",
]
