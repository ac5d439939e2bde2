"""List the storage below the directories of a night."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.inbox.triggers import data_of, is_trigger_name
from ctao_bdms.ingest import DIGEST_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.model import Night

__all__ = ["Stored", "stored_files"]


@attrs.define(kw_only=True)
class Stored:
    """A data file on the storage, with its trigger.

    Attributes
    ----------
    path
        The path of the data file.
    size_bytes
        The size of the data file; None if there is none.
    trigger
        Its trigger; None if there is none.
    """

    path: Path
    size_bytes: int | None = None
    trigger: Path | None = None


def stored_files(base: Path, night: Night) -> dict[Path, Stored]:
    """Return what lies below the directories ``.../<YYYY>/<MM>/<DD>`` of a night, by the place of the data file.

    Names that begin with a dot are no data files. A link counts as one only if it has a trigger.

    Parameters
    ----------
    base
        Where to look, links resolved.
    night
        The night. Directories of other nights are not opened.

    Raises
    ------
    OSError
        If a directory cannot be listed.
    """
    found: dict[Path, Stored] = {}
    links: set[Path] = set()
    for folder in _folders(base, night):
        for entry in _below(folder):
            path = Path(entry.path)
            if is_trigger_name(entry.name):
                data = data_of(path)
                found.setdefault(data, Stored(path=data)).trigger = path
            elif path.suffix in DIGEST_SUFFIXES:
                data = path.with_suffix("")
                found.setdefault(data, Stored(path=data))
            elif not entry.name.startswith(".") and entry.is_file():
                found.setdefault(path, Stored(path=path)).size_bytes = entry.stat().st_size
                if entry.is_symlink():
                    links.add(path)
    for path in links:
        if found[path].trigger is None:
            del found[path]
    return found


def _folders(folder: Path, night: Night) -> Iterator[Path]:
    """Yield the directories of the night at and below `folder`."""
    year, month, day = night.date.isoformat().split("-")
    for name in _subfolders(folder):
        if len(name) == 4 and name.isdigit():
            if name == year and (folder / year / month / day).is_dir():
                yield folder / year / month / day
        else:
            yield from _folders(folder / name, night)


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield all entries below a directory but directories."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))
        else:
            yield entry
