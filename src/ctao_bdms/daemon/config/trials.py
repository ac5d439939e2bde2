"""Small trials of the operations that the daemon needs; each cleans up."""

from __future__ import annotations

import errno
import importlib.util
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ctao_bdms.disk_space import disk_space
from ctao_bdms.workers import Scans, TimeLimit, WorkerPool

__all__ = [
    "Trial",
    "describe_readers",
    "inside",
    "nearest",
    "same_place",
    "time_worker_start",
    "try_free_space",
    "try_listing",
    "try_moving",
    "try_writing",
]

#: Try an operation in a folder, and return the result as a sentence; raise OSError if it fails.
Trial = Callable[[Path], str]

_OPTIONAL = {"h5py": "HDF5", "netCDF4": "NetCDF"}
_WORKER_LIMIT_S = 60.0


def same_place(one: str | Path, other: str | Path) -> bool:
    """Return whether two paths are the same after links are resolved."""
    return os.path.realpath(one) == os.path.realpath(other)


def inside(path: str | Path, folder: str | Path) -> bool:
    """Return whether `path` is `folder` or inside it after links are resolved."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def nearest(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def try_listing(folder: Path) -> str:
    """Try to list a folder."""
    with os.scandir(folder) as entries:
        some = next(entries, None)
    return f"{folder} can be read{'' if some else ', and is empty'}."


def _probe(folder: Path) -> Path:
    """Create a small file whose name is neither that of a trigger nor of a data file."""
    path = folder / f".bdms-check-{secrets.token_hex(8)}"
    with path.open("xb") as stream:
        try:
            stream.write(b"bdms ingestd --check\n")
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            path.unlink()
            raise
    return path


def try_writing(folder: Path) -> str:
    """Try to create and delete a file in a folder."""
    _probe(folder).unlink()
    return f"Files can be made and deleted in {folder}."


def try_moving(source: Path, target: Path) -> str:
    """Try to rename a file from one folder to another, which needs the same mount."""
    probe = _probe(source)
    arrived = target / probe.name
    try:
        probe.rename(arrived)
    except OSError:
        probe.unlink()
        raise
    arrived.unlink()
    return f"A file can be moved from {source} to {target} by renaming."


def try_free_space(folder: Path, least_bytes: int) -> str:
    """Check the free space."""
    space = disk_space(folder)
    if space is None:
        return f"The file system of {folder} does not tell how much is free."
    if space.free_bytes < least_bytes:
        text = f"{space.free_bytes / 1e9:.1f} GB are free, and at least {least_bytes / 1e9:.1f} GB are wanted"
        raise OSError(errno.ENOSPC, text)
    return f"{space.free_bytes / 1e9:.1f} GB are free at {folder}."


def describe_readers() -> str:
    """Return a sentence on the optional readers that are installed."""
    said = [
        f"{form} is read by {module}" if importlib.util.find_spec(module) else f"{form} needs {module}, which is absent"
        for module, form in _OPTIONAL.items()
    ]
    return f"FITS is read by ctao-bdms; {'; '.join(said)}."


def time_worker_start(memory_bytes: int) -> float:
    """Scan a small file in a worker with a memory limit; return the time in seconds."""
    begun = time.monotonic()
    with (
        tempfile.NamedTemporaryFile(suffix=".txt") as file,
        WorkerPool(1, memory_bytes=memory_bytes, attempts=1) as pool,
    ):
        file.write(b"bdms ingestd --check\n")
        file.flush()
        facts = Scans(pool, TimeLimit(base_s=_WORKER_LIMIT_S)).submit(file.name).result()
    if not facts.digests:
        raise ChildProcessError("; ".join(defect.message for defect in facts.defects))
    return time.monotonic() - begun
