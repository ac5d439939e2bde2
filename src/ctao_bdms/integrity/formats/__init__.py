"""What a file's content is: one reader for each format, chosen by the end of the name."""

from ctao_bdms.integrity.formats.port import FileFormat, Findings, Previewing, Reading
from ctao_bdms.integrity.formats.table import ENTRY_POINT_GROUP, OPAQUE, format_of, formats

__all__ = ["ENTRY_POINT_GROUP", "FileFormat", "Findings", "OPAQUE", "Previewing", "Reading", "format_of", "formats"]
