"""What a look into the inbox says."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import attrs

from ctao_bdms.ingest.inbox import LocalFile

__all__ = ["Notice", "Poll", "Sighting", "Stamp"]


@attrs.frozen
class Stamp:
    """Which bytes a path led to: equal stamps, equal content.

    Attributes
    ----------
    device, inode
        The file.
    size_bytes
        Its size.
    modified_ns
        The time of its last modification, nanoseconds since 1970.
    """

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Stamp | None:
        """Return the stamp of the regular file at `path`, links followed; None if there is none."""
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@attrs.frozen(kw_only=True)
class Sighting:
    """A trigger that is new or was made again, and whose data file is there.

    Attributes
    ----------
    file
        The data file, with what already stands against it.
    stamp
        What the data file was when it was seen; None if it is no regular file.
    triggered_ns
        When the trigger was made (its time of modification, a link's own), nanoseconds since 1970.
    """

    file: LocalFile
    stamp: Stamp | None
    triggered_ns: int

    @property
    def is_later_than_trigger(self) -> bool:
        """Whether the file was modified after its trigger was made.

        That is accepted, since clocks of producer and storage differ; that nobody writes any more is shown by the scan.
        """
        return self.stamp is not None and self.stamp.modified_ns > self.triggered_ns


@attrs.frozen
class Notice:
    """Something in the inbox that people should know of; told once, until it is over or says something else.

    Attributes
    ----------
    path
        The folder or trigger.
    message
        A sentence.
    """

    path: Path
    message: str


@attrs.define(kw_only=True)
class Poll:
    """What is new since the last poll.

    Attributes
    ----------
    found
        Triggers that are new or were made again, and whose data file is there.
    gone
        Triggers that were known, and are no longer there.
    waiting
        Triggers that are new and stand for nothing yet: their file is not there, or they contradict their own name.
        Each is found as soon as that is over.
    errors
        Folders that cannot be read, and names that are no triggers.
    more
        Whether there is more to be found at once: the poll was full.
    """

    found: list[Sighting] = attrs.Factory(list)
    gone: list[Path] = attrs.Factory(list)
    waiting: list[Notice] = attrs.Factory(list)
    errors: list[Notice] = attrs.Factory(list)
    more: bool = False
