"""Which bytes lie at a path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Stamp"]


@attrs.frozen
class Stamp:
    """Which bytes lay at a path: the file's identity, size and time.

    Attributes
    ----------
    device, inode
        The file, as the operating system counts. The number of a device changes when a network storage is mounted anew.
    size_bytes
        Its size.
    modified_ns
        The time of the last modification, nanoseconds since 1970.
    """

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path | str) -> Stamp:
        """Return the stamp of the file at `path`; links are followed.

        Raises
        ------
        OSError
            If there is none.
        """
        return cls.from_status(os.stat(path))  # noqa: PTH116 - a path may be text that pathlib would change

    @classmethod
    def from_status(cls, status: os.stat_result) -> Stamp:
        """Return the stamp that the operating system's answer holds."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def is_same_but_device(self, other: Stamp) -> bool:
        """Whether both are the same file if they lay at the same path, perhaps mounted anew in between."""
        return attrs.astuple(self)[1:] == attrs.astuple(other)[1:]
