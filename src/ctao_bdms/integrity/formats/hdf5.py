"""HDF5: DL1 and DL2 of ctapipe, and the container of NetCDF-4."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.errors import MissingExtraError
from ctao_bdms.integrity.formats.attributes import keywords_of
from ctao_bdms.integrity.formats.ctapipe import layout_of
from ctao_bdms.integrity.formats.port import Findings
from ctao_bdms.integrity.formats.superblock import read_superblock, superblock_defect
from ctao_bdms.model import Defect, DefectKind, Flag

if TYPE_CHECKING:
    from ctao_bdms.integrity.formats.hdf5_reading import Reading
    from ctao_bdms.integrity.source import SourceFile

__all__ = ["HDF5", "Hdf5Format", "examine", "superblock_findings"]

_MODULE = "ctao_bdms.integrity.formats.hdf5_reading"
#: Disables lock files, plugins, and threads that reserve memory.
_ENVIRONMENT = {"HDF5_USE_FILE_LOCKING": "FALSE", "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"}
#: The signals that mean that the content ended the reader: a crash, an abort, or too much processor time.
_BY_CONTENT = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGXCPU}
_LEVEL = re.compile(r"(?:^|[._])dl([12])[._][^/]*$")


class Hdf5Format:
    """The format of names that end in ``.h5`` or ``.hdf5``."""

    name = "hdf5"
    suffixes = (".h5", ".hdf5")
    promise = (
        "HDF5: a header gives the length of the file, and indices the positions of chunks. Chunks and headers may have "
        "checksums; without them, only the extent is known."
    )

    def begin(self, name: str) -> _Hdf5Reading:
        """Begin to read a file.

        Parameters
        ----------
        name
            Its name; ``.dl1.`` or ``.dl2.`` in it, or ``dl1_`` at its beginning, declares a level that is checked.

        Raises
        ------
        MissingExtraError
            If h5py is not installed.
        """
        require_h5py()
        match = _LEVEL.search(Path(name).name)
        return _Hdf5Reading(f"DL{match[1]}" if match else "")


class _Hdf5Reading:
    """Reads one file, at the end of the pass, from disk."""

    def __init__(self, promised: str) -> None:
        self._promised = promised

    def feed(self, piece: memoryview) -> None:
        """Do nothing: the library must seek."""

    def preview(self, source: SourceFile) -> Findings:
        """Return the defect of a file without superblock, or that ends before it says."""
        return superblock_findings(source)

    def finish(self, path: str | None) -> Findings:
        """Read the file in a separate process."""
        if path is None:
            return Findings()
        reading = examine(path)
        if isinstance(reading, Defect):
            return Findings(defects=(reading,))
        defects = defects_of(reading)
        keywords, faults = keywords_of(reading["attributes"])
        if not defects:
            layout = layout_of(reading["groups"], reading["rows"], reading["attributes"], self._promised)
            return Findings(
                kind=layout.kind,
                keywords={**keywords, **layout.keywords},
                checked=reading["checked"] and not layout.defects and not faults,
                flags=flags_of(reading),
                defects=(*layout.defects, *faults),
                trailing_bytes=reading["trailing_bytes"],
            )
        return Findings(
            keywords=keywords, flags=flags_of(reading), defects=defects, trailing_bytes=reading["trailing_bytes"]
        )


def require_h5py() -> None:
    """Raise MissingExtraError if h5py is not installed. It is imported only in the reading process."""
    if importlib.util.find_spec("h5py") is None:
        raise MissingExtraError("formats", "h5py")


def superblock_findings(source: SourceFile) -> Findings:
    """Return the defect that the superblock of a file alone proves."""
    with Path(source.path).open("rb") as file:
        defect = superblock_defect(read_superblock(file, source.size_bytes), source.size_bytes)
    return Findings(defects=() if defect is None else (Defect(DefectKind(defect[0]), defect[1]),))


def defects_of(reading: Reading) -> tuple[Defect, ...]:
    """Return the defects of a reading."""
    return tuple(Defect(DefectKind(kind), message) for kind, message in reading["defects"])


def flags_of(reading: Reading) -> tuple[Flag, ...]:
    """Return the flags of a reading."""
    flags = [Flag.TRAILING_BYTES] if reading["trailing_bytes"] else []
    return (*flags, Flag.UNEXAMINED) if reading["unexamined"] else tuple(flags)


def examine(path: str) -> Reading | Defect:
    """Read an HDF5 file in a separate process, with limits on processor time and memory.

    Returns
    -------
    Reading or Defect
        The findings; or a single defect, if the content crashed the library or the process could not run.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", _MODULE, path],
        env={**os.environ, **_ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        reading: Reading = json.loads(done.stdout)
        return reading
    if -done.returncode in _BY_CONTENT:
        name = signal.Signals(-done.returncode).name
        why = "used all its processor time" if name == "SIGXCPU" else f"crashed ({name})"
        return Defect(DefectKind.STRUCTURE, f"the HDF5 library {why} on this file")
    told = ascii(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])[1:-1][:300]
    return Defect(
        DefectKind.UNEXAMINED, f"the reader of HDF5 files ended with {done.returncode}: {told or 'no message'}"
    )


#: The instance of this format.
HDF5 = Hdf5Format()
