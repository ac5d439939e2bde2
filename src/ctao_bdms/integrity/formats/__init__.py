"""File formats: one reader for each, chosen by the suffix of the name."""

from ctao_bdms.integrity.formats.table import OPAQUE, formats

__all__ = [
    "OPAQUE",
    "formats",
]
