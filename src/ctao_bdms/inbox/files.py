"""Find the files to be ingested, once; `ctao_bdms.inbox.watch` polls for them.

A file path is taken as it is. A directory is searched for ``.trigger`` files, because a trigger is the producer's
statement that its data file is complete.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError, OutsideRootError
from ctao_bdms.inbox.stamps import Stamp
from ctao_bdms.inbox.triggers import TRIGGER_SUFFIX, data_of, is_trigger_name
from ctao_bdms.model import Defect, DefectKind, Lfn
from ctao_bdms.naming import lfn_of_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["LocalFile", "local_file", "survey"]


@attrs.frozen(kw_only=True)
class LocalFile:
    """A file to be ingested.

    Attributes
    ----------
    path
        Its absolute path, with links resolved unless it `is_link`.
    lfn
        Its logical file name; None if the file name is invalid.
    trigger
        Its trigger, if there is one.
    stamp
        The stamp of the file, or of a folder at its path; None if there was nothing.
    defects
        Defects that are known before the file is read.
    is_link
        Whether the path is a link: the name is that of the link, the content that of its target.
    """

    path: Path
    lfn: Lfn | None = None
    trigger: Path | None = None
    stamp: Stamp | None = None
    defects: tuple[Defect, ...] = ()
    is_link: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it is under the storage root, so that it may be moved to quarantine."""
        return not any(
            defect.kind in {DefectKind.OUTSIDE_ROOT, DefectKind.MISSING, DefectKind.NOT_A_FILE}
            for defect in self.defects
        )


def survey(paths: Iterable[Path], root: Path) -> list[LocalFile]:
    """Return the files at and below `paths`, each once, in the order found.

    Parameters
    ----------
    paths
        Data files, triggers, or directories that are searched for triggers.
    root
        The storage root: files under it can be registered without a copy.
    """
    found: dict[Path, LocalFile] = {}
    real_root = Path(os.path.realpath(root))
    for path in paths:
        for data, trigger in _expand(Path(os.path.abspath(path))):  # noqa: PTH100 - resolve() would follow links
            file = local_file(data, trigger, real_root)
            if file.path not in found or found[file.path].trigger is None:
                found[file.path] = file
    return list(found.values())


def _expand(path: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield the data files at or below `path`, each with its trigger."""
    if is_trigger_name(path.name):
        yield data_of(path), path
    elif path.is_dir() and not path.is_symlink():
        yield from ((data_of(trigger), trigger) for trigger in _triggers(path))
    else:
        trigger = path.with_name(path.name + TRIGGER_SUFFIX)
        yield path, trigger if os.path.lexists(trigger) else None


def _triggers(directory: Path) -> Iterator[Path]:
    """Yield the triggers below `directory`, sorted by name."""
    folders = []
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif is_trigger_name(entry.name):
                yield Path(entry.path)
    for folder in folders:
        yield from _triggers(folder)


def local_file(path: Path, trigger: Path | None, root: Path) -> LocalFile:
    """Return a file with its real path and the defects known before it is read.

    Parameters
    ----------
    path
        The absolute path; links are followed.
    root
        The storage root, with links resolved.
    """
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        error = OutsideRootError(path, root, real if path.is_relative_to(root) or path.is_symlink() else None)
        return LocalFile(
            path=path,
            trigger=trigger,
            stamp=_stamp_of(path),
            defects=(Defect(DefectKind.OUTSIDE_ROOT, str(error)),),
        )
    try:
        status = real.lstat()
    except OSError as error:
        kind = (
            DefectKind.MISSING if isinstance(error, FileNotFoundError | NotADirectoryError) else DefectKind.UNREADABLE
        )
        return LocalFile(path=real, trigger=trigger, defects=(Defect(kind, f"{path}: {error.strerror}"),))
    stamp = Stamp.from_status(status)
    lfn: Lfn | None = None
    defects: tuple[Defect, ...] = ()
    if stat.S_ISREG(status.st_mode):
        try:
            lfn = lfn_of_path(real, root)
        except InvalidNameError as error:
            defects = (Defect(DefectKind.INVALID_NAME, str(error)),)
    else:
        defects = (Defect(DefectKind.NOT_A_FILE, f"{path} is no regular file"),)
    return LocalFile(path=real, lfn=lfn, trigger=trigger, stamp=stamp, defects=defects)


def _stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of the file at `path`; None if it cannot be read."""
    with suppress(OSError):
        return Stamp.of(path)
    return None
