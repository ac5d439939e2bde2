"""The table of formats: built-in ones, and those of other installed packages."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ctao_bdms.integrity.formats.ecsv import ECSV
from ctao_bdms.integrity.formats.fits import FITS, OPAQUE
from ctao_bdms.integrity.formats.foreign import ENTRY_POINT_GROUP, foreign_formats
from ctao_bdms.integrity.formats.gzipped import GZIPPED_FITS
from ctao_bdms.integrity.formats.hdf5 import HDF5
from ctao_bdms.integrity.formats.netcdf import NETCDF

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctao_bdms.integrity.formats.port import FileFormat

__all__ = ["ENTRY_POINT_GROUP", "OPAQUE", "format_of", "formats"]

#: The built-in formats. A new format needs a module in this package and an entry here.
_OURS: tuple[FileFormat, ...] = (FITS, GZIPPED_FITS, HDF5, ECSV, NETCDF)


@lru_cache(maxsize=1)
def formats() -> Mapping[str, FileFormat]:
    """Return the known formats by suffix, longest first.

    Other packages add formats by an entry point in the group ``ctao_bdms.formats`` that refers to a
    `ctao_bdms.integrity.FileFormat`. A format that cannot be loaded, or whose suffix is taken, is logged and
    ignored. Entry points are read once, when the first file is scanned.
    """
    table = {suffix: each for each in _OURS for suffix in each.suffixes}
    table |= foreign_formats(table)
    return dict(sorted(table.items(), key=lambda item: (-len(item[0]), item[0])))


def format_of(name: str) -> FileFormat:
    """Return the format for the suffix of `name`; other suffixes are opaque."""
    return next((known for suffix, known in formats().items() if name.endswith(suffix)), OPAQUE)
