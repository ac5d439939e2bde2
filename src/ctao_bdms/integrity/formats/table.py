"""The table of formats: ours, and those of other packages that are installed beside."""

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

#: Our own. A format is a module of this package and one place here.
_OURS: tuple[FileFormat, ...] = (FITS, GZIPPED_FITS, HDF5, ECSV, NETCDF)


@lru_cache(maxsize=1)
def formats() -> Mapping[str, FileFormat]:
    """Return the known formats by the ends of names, longest first.

    Other packages add theirs by an entry point in the group ``ctao_bdms.formats`` that leads to a
    `ctao_bdms.integrity.FileFormat`. One that cannot be loaded, or claims an end that has an owner, is reported
    in the log and left out. The entry points are read once, when the first file is scanned.
    """
    table = {suffix: each for each in _OURS for suffix in each.suffixes}
    table |= foreign_formats(table)
    return dict(sorted(table.items(), key=lambda item: (-len(item[0]), item[0])))


def format_of(name: str) -> FileFormat:
    """Return the format that the end of `name` promises; any other end promises nothing."""
    return next((known for suffix, known in formats().items() if name.endswith(suffix)), OPAQUE)
