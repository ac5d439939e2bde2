"""NetCDF, classic and version 4: monitoring data of instruments such as ceilometers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.integrity.formats.attributes import keywords_of
from ctao_bdms.integrity.formats.hdf5 import defects_of, examine, flags_of, require_h5py, superblock_findings
from ctao_bdms.integrity.formats.netcdf_classic import (
    SIGNATURE,
    HeaderEndsError,
    HeaderError,
    read_classic_header,
)
from ctao_bdms.integrity.formats.port import Findings
from ctao_bdms.integrity.formats.superblock import SIGNATURE as HDF5_SIGNATURE
from ctao_bdms.model import Defect, DefectKind, Flag

if TYPE_CHECKING:
    from ctao_bdms.integrity.source import SourceFile

__all__ = ["NETCDF", "NetcdfFormat"]

_WORD_BYTES = 4


class NetcdfFormat:
    """The format of names that end in ``.nc``."""

    name = "netcdf"
    suffixes = (".nc",)
    promise = (
        "NetCDF: a header gives the length of the file. Version 4 is HDF5 and may have its checksums; "
        "the classic format has none."
    )

    def begin(self, name: str) -> _NetcdfReading:
        """Begin to read a file.

        Raises
        ------
        MissingExtraError
            If h5py is not installed, which reads version 4.
        """
        require_h5py()
        return _NetcdfReading()


class _NetcdfReading:
    """Reads one file: its first bytes distinguish the two formats."""

    def __init__(self) -> None:
        self._first = b""
        self._size_bytes = 0

    def feed(self, piece: memoryview) -> None:
        """Keep the first bytes."""
        if len(self._first) < len(HDF5_SIGNATURE):
            self._first += bytes(piece[: len(HDF5_SIGNATURE) - len(self._first)])
        self._size_bytes += len(piece)

    def preview(self, source: SourceFile) -> Findings:
        """Return the defects that the header alone proves."""
        probe = _NetcdfReading()
        probe.feed(source.first_bytes(len(HDF5_SIGNATURE)))
        if probe._first == HDF5_SIGNATURE:
            return superblock_findings(source)
        probe._size_bytes = source.size_bytes
        return probe.finish(source.path)

    def finish(self, path: str | None) -> Findings:
        """Read the header, or the whole HDF5 file."""
        if self._first == HDF5_SIGNATURE:
            return Findings() if path is None else _version_4(path)
        if not self._first.startswith(SIGNATURE):
            message = "the name promises NetCDF, but the content does not begin as it does"
            return Findings(defects=(Defect(DefectKind.NOT_A_PRODUCT, message),))
        return Findings() if path is None else _classic(path, self._size_bytes)


def _version_4(path: str) -> Findings:
    reading = examine(path)
    if isinstance(reading, Defect):
        return Findings(defects=(reading,))
    keywords, faults = keywords_of(reading["attributes"])
    defects = (*defects_of(reading), *faults)
    return Findings(
        kind="NetCDF-4",
        keywords=keywords,
        checked=reading["checked"] and not defects,
        flags=flags_of(reading),
        defects=defects,
        trailing_bytes=reading["trailing_bytes"],
    )


def _classic(path: str, size_bytes: int) -> Findings:
    try:
        with Path(path).open("rb") as source:
            header = read_classic_header(source)
    except HeaderEndsError as error:
        return Findings(defects=(Defect(DefectKind.TRUNCATED, str(error)),))
    except HeaderError as error:
        return Findings(defects=(Defect(DefectKind.STRUCTURE, str(error)),))
    except OSError as error:
        return Findings(defects=(Defect(DefectKind.UNEXAMINED, f"it cannot be read again: {error}"),))
    keywords, defects = keywords_of(header.attributes)
    if header.needed_bytes > size_bytes:
        message = f"its header says {header.needed_bytes} bytes, but there are only {size_bytes}"
        defects = (Defect(DefectKind.TRUNCATED, message), *defects)
    trailing_bytes = size_bytes - header.needed_bytes
    has_trailing = trailing_bytes >= _WORD_BYTES  # fewer bytes are the padding of the last value
    return Findings(
        kind=f"NetCDF classic (CDF-{header.version})",
        keywords=keywords,
        flags=(Flag.TRAILING_BYTES,) if has_trailing else (),
        defects=defects,
        trailing_bytes=trailing_bytes if has_trailing else 0,
    )


#: The instance of this format.
NETCDF = NetcdfFormat()
