"""Stamps of files, which change when a file is replaced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.model import FileFacts

__all__ = ["Stamp"]


@attrs.frozen
class Stamp:
    """Identity, size and times of a file.

    Attributes
    ----------
    device, inode
        The identity of the file. The device number changes when a network storage is mounted again.
    modified_ns
        The mtime, nanoseconds since 1970.
    changed_ns
        The ctime, nanoseconds since 1970, which no tool can set back. None if it is unknown, as in a journal of an
        older version.
    """

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int | None = None

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
        """Return the stamp in the result of a stat call."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_same(self, other: Stamp) -> bool:
        """Whether both are stamps of the same unchanged file.

        The device number is not compared because the storage may have been mounted again. A changed mode, owner or
        link count looks like a changed file: reading a file again costs time, a missed change costs the file.
        """
        changed = {self.changed_ns, other.changed_ns}
        is_changed = None not in changed and len(changed) > 1
        mine, others = (attrs.evolve(stamp, device=0, changed_ns=None) for stamp in (self, other))
        return mine == others and not is_changed

    def is_of(self, facts: FileFacts) -> bool:
        """Whether `facts` were read from the file with this stamp."""
        inode = self.inode if facts.inode is None else facts.inode
        return self.is_same(Stamp(self.device, inode, facts.size_bytes, facts.modified_ns, facts.changed_ns))
