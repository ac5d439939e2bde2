"""What is remembered of a folder between two polls, small enough for a million triggers."""

from __future__ import annotations

import zlib
from array import array
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping

__all__ = ["Folder", "FolderStamp", "Round", "folder_stamp", "trigger_stamp"]

#: Device, inode, and the times of the last change of content and of status, in nanoseconds.
FolderStamp = tuple[int, int, int, int]


def folder_stamp(status: os.stat_result) -> FolderStamp:
    """Return what changes when anything is made, renamed or removed in a folder.

    The time of the status is part of it because tools that copy trees set the other one back.
    """
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def trigger_stamp(status: os.stat_result) -> int:
    """Return 64 bits that change when a trigger is made again: a new inode, or a freed one at another time.

    The time of the status is part of it because copying tools put the other one back.
    """
    return hash((status.st_ino, status.st_mtime_ns, status.st_ctime_ns))


@attrs.define(eq=False)
class Folder:
    """A folder as it was listed last.

    Names and stamps lie packed in two buffers, because a folder is opened again only when it changes.

    Attributes
    ----------
    stamp
        Its stamp before the listing; None if it must be listed, whatever its stamp.
    place
        Device and inode when it was listed last; None if it never was.
    listed_s
        When it was listed last, in seconds of the monotonic clock.
    unsettled_until_s
        A stamp seen for the first time can stand for a change that comes later within the same tick of the file
        system's clock: until one listing is later than this, an equal stamp proves nothing.
    """

    stamp: FolderStamp | None = None
    place: tuple[int, int] | None = None
    listed_s: float = float("-inf")
    unsettled_until_s: float = float("inf")
    _names: bytes = b""
    _stamps: array[int] = attrs.field(factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self._stamps)

    def triggers(self) -> dict[bytes, int]:
        """Return the stamps of the known triggers by name."""
        return dict(zip(zlib.decompress(self._names).split(b"/"), self._stamps, strict=True)) if self._stamps else {}

    def remember(self, triggers: Mapping[bytes, int]) -> None:
        """Replace the known triggers."""
        self._names = zlib.compress(b"/".join(triggers), 1)
        self._stamps = array("q", triggers.values())


class Round:
    """Takes the keys of a mapping in turn, a few at a time, while the mapping changes."""

    def __init__(self) -> None:
        self._left: list[bytes] = []

    def take(self, source: Collection[bytes], count: int) -> list[bytes]:
        """Return up to `count` keys whose turn it is; fewer at the end of a round.

        Parameters
        ----------
        source
            What is there now.
        count
            The most to return.
        """
        if count >= len(source):
            self._left.clear()
            return list(source)
        if not self._left:
            self._left = list(source)
            self._left.reverse()
        taken: list[bytes] = []
        while self._left and len(taken) < count:
            key = self._left.pop()
            if key in source:
                taken.append(key)
        return taken
