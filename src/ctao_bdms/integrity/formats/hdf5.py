"""HDF5: DL1 and DL2 of ctapipe, and what NetCDF-4 is made of."""

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
from ctao_bdms.model import Defect, DefectKind, Flag

if TYPE_CHECKING:
    from ctao_bdms.integrity.formats.hdf5_reading import Reading

__all__ = ["HDF5", "Hdf5Format", "examine"]

_MODULE = "ctao_bdms.integrity.formats.hdf5_reading"
#: No lock files, no code from plugin folders, no threads that reserve memory.
_ENVIRONMENT = {"HDF5_USE_FILE_LOCKING": "FALSE", "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"}
#: The signals by which content ends the reader: it crashes, gives up, or used its processor time.
_BY_CONTENT = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGXCPU}
_LEVEL = re.compile(r"(?:^|[._])dl([12])[._][^/]*$")


class Hdf5Format:
    """The format of names that end in ``.h5`` or ``.hdf5``."""

    name = "hdf5"
    suffixes = (".h5", ".hdf5")
    promise = (
        "HDF5: a header says how long the file is, and tables where their chunks lie. Chunks and headers may carry "
        "checksums; where they carry none, only the extent is known."
    )

    def begin(self, name: str) -> _Hdf5Reading:
        """Begin with one file.

        Parameters
        ----------
        name
            Its name; ``.dl1.`` or ``.dl2.`` within it, or ``dl1_`` at its begin, is a promise that is kept to.

        Raises
        ------
        MissingExtraError
            If h5py is not installed.
        """
        require_h5py()
        match = _LEVEL.search(Path(name).name)
        return _Hdf5Reading(f"DL{match[1]}" if match else "")


class _Hdf5Reading:
    """One file: all is done at the end, where it lies."""

    def __init__(self, promised: str) -> None:
        self._promised = promised

    def feed(self, piece: memoryview) -> None:
        """Do nothing: the library must seek."""

    def finish(self, path: str | None) -> Findings:
        """Read the file in a process of its own."""
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
    """Raise MissingExtraError if h5py is not installed; it is only imported in the process that reads."""
    if importlib.util.find_spec("h5py") is None:
        raise MissingExtraError("formats", "h5py")


def defects_of(reading: Reading) -> tuple[Defect, ...]:
    """Return the defects of a reading."""
    return tuple(Defect(DefectKind(kind), message) for kind, message in reading["defects"])


def flags_of(reading: Reading) -> tuple[Flag, ...]:
    """Return what should be known besides the defects."""
    return (Flag.TRAILING_BYTES,) if reading["trailing_bytes"] else ()


def examine(path: str) -> Reading | Defect:
    """Read an HDF5 file in a process of its own, with limits on processor time and memory.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Reading or Defect
        What was found; or the one defect, if the library died of the content or could not be asked.
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
        DefectKind.UNEXAMINED, f"the reader of HDF5 files ended with {done.returncode}: {told or 'without a word'}"
    )


#: The one object of this format.
HDF5 = Hdf5Format()
