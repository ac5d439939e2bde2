"""Fetch files in parallel, verified while written, and continued after an interruption."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.access.declare import declare
from ctao_bdms.access.fetch import Fetcher
from ctao_bdms.access.fetched import FetchedFiles, Progress
from ctao_bdms.access.health import Health
from ctao_bdms.access.locate import demand_place, known_files
from ctao_bdms.access.partial_download import clear_stale, part_of
from ctao_bdms.disk_space import disk_space
from ctao_bdms.durable import sync_folder
from ctao_bdms.errors import NoSpaceError, UsageError
from ctao_bdms.naming import path_of_lfn
from ctao_bdms.storage.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ctao_bdms.access.declare import DeclareCatalogue
    from ctao_bdms.access.fetched import Fetched
    from ctao_bdms.model import ArchivedFile, Lfn, Rse

__all__ = ["retrieve"]

#: Bytes to leave free on a file system, for directories and names.
_RESERVE_BYTES = 16 << 20


def retrieve(
    catalogue: DeclareCatalogue,
    rses: Mapping[str, Rse],
    names: Iterable[Lfn],
    folder: Path,
    *,
    tree: bool = False,
    near: str = "",
    jobs: int = 4,
    health: Health | None = None,
    progress: Progress | None = None,
) -> FetchedFiles:
    """Fetch files into a folder.

    Each comes from the best copy; its Adler-32 is made while it is written under a name for files that are not whole,
    and it appears under its own only when it is. If a copy cannot be read or has other bytes, the next one is tried
    and the archive is told; that a copy is bad, it is told only if another one was read soundly. What an interrupted
    retrieval has left is continued.

    Parameters
    ----------
    names
        The files; a dataset or container (a block, a directory) stands for all files in it.
    folder, tree, near, jobs, progress
        As of `ctao_bdms.Bdms.retrieve`; the folder is made if it does not exist.
    health
        Which storage elements have failed of late; it is kept up to date.

    Raises
    ------
    NotFoundError
        If the archive does not know one of the names; nothing is fetched then.
    UsageError
        If two files would get the same name in `folder`, or `near` is no place.
    NoSpaceError
        If there is not enough space for what is missing; nothing is fetched then.
    """
    demand_place(rses, near)
    files = known_files(catalogue, names)
    places = _places(files, folder, tree=tree)
    progress = progress or Progress()
    progress.begin(len(files), sum(file.size_bytes for file in files))
    _demand_space(folder, files, places)
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[Lfn, Fetched] = {}

    def on_fetched(fetched: Fetched) -> None:
        if fetched.troubles:
            told = declare(catalogue, rses, fetched.lfn, fetched.troubles, fetched.sound)
            fetched = attrs.evolve(fetched, troubles=told)
        done[fetched.lfn] = fetched
        progress.end(fetched)

    with Sources() as sources:
        fetcher = Fetcher(sources, rses, near, health or Health(), progress, threading.Event())
        _fetch(fetcher, files, places, jobs, on_fetched)
    for parent in {place.parent for place in places.values()}:
        with contextlib.suppress(FileNotFoundError):
            sync_folder(parent)
    return FetchedFiles(done[file.lfn] for file in files)


def _fetch(
    fetcher: Fetcher,
    files: Iterable[ArchivedFile],
    places: Mapping[Lfn, Path],
    jobs: int,
    on_fetched: Callable[[Fetched], None],
) -> None:
    """Fetch files in parallel; after an error, stop the others too."""
    with ThreadPoolExecutor(jobs, thread_name_prefix="bdms-fetch") as pool:
        futures = [pool.submit(fetcher.fetch, file, places[file.lfn]) for file in files]
        try:
            for future in as_completed(futures):
                on_fetched(future.result())
        except BaseException:
            fetcher.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _places(files: Collection[ArchivedFile], folder: Path, *, tree: bool) -> dict[Lfn, Path]:
    """Return the path of each file below `folder`; two files with the same are a `UsageError`."""
    places = {file.lfn: Path(path_of_lfn(file.lfn, folder)) if tree else folder / file.lfn.name for file in files}
    if len(set(places.values())) < len(places):
        raise UsageError("two of the files have the same name; keep their directories (--tree, tree=True)")
    return places


def _demand_space(folder: Path, files: list[ArchivedFile], places: Mapping[Lfn, Path]) -> None:
    """Check the free space for the missing bytes; remove outdated partial downloads first.

    Raises
    ------
    NoSpaceError
        If there is not.
    """
    parts = {part_of(places[file.lfn], file): file for file in files}
    by_folder: dict[Path, set[Path]] = {}
    for part in parts:
        by_folder.setdefault(part.parent, set()).add(part)
    there: dict[Path, int] = {}
    for place, wanted in by_folder.items():
        there.update(clear_stale(place, wanted))
    needed = sum(
        max(0, file.size_bytes - there.get(part, 0)) for part, file in parts.items() if not places[file.lfn].exists()
    )
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    space = disk_space(existing)
    if space is not None and needed and needed + _RESERVE_BYTES > space.free_bytes:
        raise NoSpaceError(folder, needed, space.free_bytes)
