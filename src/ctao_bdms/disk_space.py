"""The space of a file system; some do not tell it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DiskSpace", "disk_space"]


@attrs.frozen(kw_only=True)
class DiskSpace:
    """The space of a file system.

    Attributes
    ----------
    total_bytes
        Its size.
    free_bytes
        What this user can still write.
    """

    total_bytes: int
    free_bytes: int


def disk_space(folder: Path) -> DiskSpace | None:
    """Return the space of the file system of a folder; None if it does not tell its size.

    tmpfs without a limit and many file systems in user space report zero blocks, and are not full.

    Raises
    ------
    OSError
        If the file system cannot be asked.

    Examples
    --------
    >>> from pathlib import Path
    >>> space = disk_space(Path("/"))
    >>> space is None or 0 <= space.free_bytes <= space.total_bytes
    True
    """
    found = os.statvfs(folder)
    if not found.f_blocks:
        return None
    return DiskSpace(total_bytes=found.f_blocks * found.f_frsize, free_bytes=found.f_bavail * found.f_frsize)
