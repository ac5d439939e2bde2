"""The state of a folder between two polls, compact enough for a million triggers."""

from __future__ import annotations

import zlib
from array import array
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping

__all__ = ["Folder", "FolderStamp", "Round", "folder_stamp", "trigger_stamp"]

#: Device, inode, mtime and ctime, in nanoseconds.
FolderStamp = tuple[int, int, int, int]


def folder_stamp(status: os.stat_result) -> FolderStamp:
    """Return a stamp that changes when a name in the folder is added or removed.

    The ctime is part of it because tools that copy trees set the mtime back.
    """
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def trigger_stamp(status: os.stat_result) -> int:
    """Return a 64-bit stamp that changes when a trigger is made again.

    The inode alone is not enough because it can be reused; the ctime is part of it because copying tools set the
    mtime back.
    """
    return hash((status.st_ino, status.st_mtime_ns, status.st_ctime_ns))


@attrs.define(eq=False)
class Folder:
    """The triggers in a folder at its last listing.

    Names and stamps are packed into two buffers: they are unpacked only when the folder changes.

    Attributes
    ----------
    stamp
        Its stamp before the listing; None if it must be listed again.
    place
        Device and inode at the last listing; None if it was never listed.
    listed_s
        Time of the last listing, in seconds of the monotonic clock.
    unsettled_until_s
        Until a listing later than this, an equal stamp does not prove an unchanged folder: a second change within the
        same tick of the file system's clock has the same stamp.
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
    """Take the keys of a changing mapping in turn, a few at a time (round robin)."""

    def __init__(self) -> None:
        self._left: list[bytes] = []

    def take(self, source: Collection[bytes], count: int) -> list[bytes]:
        """Return the next keys of `source`, up to `count`; fewer at the end of a round."""
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
