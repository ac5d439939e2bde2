"""What a file's content is: one reader for each format, chosen by the end of the name."""

from ctao_bdms.integrity.formats.table import OPAQUE, formats

__all__ = [
    "OPAQUE",
    "formats",
]
