"""Which bytes lie at a path."""

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
    """Which bytes lay at a path: the file's identity, size and time.

    Attributes
    ----------
    device, inode
        The file, as the operating system counts. The number of a device changes when a network storage is mounted anew.
    size_bytes
        Its size.
    modified_ns
        The time of the last modification, nanoseconds since 1970.
    changed_ns
        The time of the last change of content or status: who puts the other time back cannot put this one back. None if
        it is not known, as in a journal of an older version.
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
        """Return the stamp that the operating system's answer holds."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_same(self, other: Stamp) -> bool:
        """Whether both are the same bytes at the same path.

        The number of the device is not compared: the storage may have been mounted anew in between. A mode, an owner
        or a link that was changed looks like other bytes: to read them again costs time, to believe them a file.
        """
        changed = {self.changed_ns, other.changed_ns}
        is_changed = None not in changed and len(changed) > 1
        mine, others = (attrs.evolve(stamp, device=0, changed_ns=None) for stamp in (self, other))
        return mine == others and not is_changed

    def is_of(self, facts: FileFacts) -> bool:
        """Whether `facts` were read from these bytes."""
        inode = self.inode if facts.inode is None else facts.inode
        return self.is_same(Stamp(self.device, inode, facts.size_bytes, facts.modified_ns, facts.changed_ns))
