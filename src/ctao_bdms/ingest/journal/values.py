"""What the journal keeps of one file."""

from __future__ import annotations

import datetime as dt
import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import ArrayElement, Did, FileFacts, Lfn, Night, Site
from ctao_bdms.naming import AcadaPath

if TYPE_CHECKING:
    from ctao_bdms.ingest.inbox import LocalFile

__all__ = ["Entry", "Event", "FileState", "Order", "Rejected", "Scanned", "Sighting", "Stamp", "Tally", "Waiting"]


class FileState(StrEnum):
    """How far a file is.

    Whether it waits is another matter: an entry in any state has a `cause` as long as it waits for something.
    """

    #: Its trigger was seen; its bytes have not been read.
    FOUND = "found"
    #: Its bytes have been read, and what they say is kept.
    SCANNED = "scanned"
    #: It is in the catalogue.
    REGISTERED = "registered"
    #: Its copies are complete.
    REPLICATED = "replicated"
    #: It may not enter the archive.
    QUARANTINED = "quarantined"
    #: Its trigger has gone before it was registered.
    WITHDRAWN = "withdrawn"


class Order(StrEnum):
    """Which files come first when there are many."""

    #: The newest night first, and of a night the file that was found last.
    NEWEST_NIGHT = "newest-night-first"
    #: The oldest night first, and of a night the file that was found first.
    OLDEST = "oldest-first"
    #: The highest priority first, and among the same the newest night.
    PRIORITY = "priority"


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


@attrs.frozen(kw_only=True)
class Sighting:
    """A trigger that was seen, and the file that it stands for.

    Attributes
    ----------
    path
        Where the data file lies.
    lfn
        Its logical name; None if it cannot have one.
    trigger
        The trigger; None if there is none.
    trigger_ns
        The time of the last modification of the trigger, nanoseconds since 1970; 0 if there is none.
    stamp
        The stamp of the data file; None as long as there is no such file.
    night, site
        Where and when it was taken, if the name says so.
    category
        Its processing category, if it is known.
    priority
        The higher, the sooner.
    """

    path: Path
    lfn: Lfn | None = None
    trigger: Path | None = None
    trigger_ns: int = 0
    stamp: Stamp | None = None
    night: Night | None = None
    site: Site | None = None
    category: str = ""
    priority: int = 0

    @classmethod
    def of(cls, file: LocalFile, site: Site | None = None, priority: int = 0) -> Sighting:
        """Look at a file of the inbox and at its trigger.

        Parameters
        ----------
        file
            The file.
        site
            The site where it lies, if its name does not say.
        priority
            The higher, the sooner.

        Raises
        ------
        OSError
            If the storage does not say whether they are there.
        """
        night = None
        if file.lfn is not None:
            try:
                parts = AcadaPath.parse(file.lfn)
            except InvalidNameError:
                pass
            else:
                night = parts.night
                if ArrayElement.exists(parts.element):
                    site = ArrayElement.parse(parts.element).site
        stamp, trigger_ns = None, 0
        with suppress(FileNotFoundError, NotADirectoryError):
            stamp = Stamp.of(file.path)
        if file.trigger is not None:
            with suppress(FileNotFoundError, NotADirectoryError):
                trigger_ns = file.trigger.lstat().st_mtime_ns
        return cls(
            path=file.path,
            lfn=file.lfn,
            trigger=file.trigger,
            trigger_ns=trigger_ns,
            stamp=stamp,
            night=night,
            site=site,
            priority=priority,
        )


@attrs.frozen(kw_only=True)
class Scanned:
    """A file whose bytes were read.

    Attributes
    ----------
    path
        Where it lies.
    stamp
        Its stamp, taken before it was read.
    facts
        What its bytes say.
    category
        Its processing category, if the content says so; empty leaves the one of the sighting.
    priority
        Its priority from now on; None leaves the one of the sighting.
    """

    path: Path
    stamp: Stamp
    facts: FileFacts
    category: str = ""
    priority: int | None = None


@attrs.frozen(kw_only=True)
class Rejected:
    """A file that may not enter the archive.

    Attributes
    ----------
    path
        Where it lay.
    why
        All that is wrong, for people.
    case
        The folder in quarantine that it is in; None if it stays where it is.
    """

    path: Path
    why: str
    case: Path | None = None


@attrs.frozen(kw_only=True)
class Waiting:
    """A file that could not go on.

    Attributes
    ----------
    path
        Where it lies.
    cause
        What it waits for, one stable word.
    why
        A sentence for people.
    next_try
        When it is due again, aware; None if only `Journal.resume` makes it due.
    """

    path: Path
    cause: str
    why: str
    next_try: dt.datetime | None = None


@attrs.frozen(kw_only=True)
class Entry:
    """What the journal knows of one file.

    Attributes
    ----------
    path, lfn, trigger, stamp, night, site, category, priority
        As in `Sighting`; the stamp is that of the bytes that were read, once they were.
    state
        How far it is.
    cause
        What it waits for; empty if it does not wait.
    attempts
        How often it could not go on since it last did.
    next_try
        When it is due again, if it waits for a time.
    why
        A sentence on why it waits, is in quarantine or was withdrawn.
    block
        The block that it is in, once it is registered.
    has_facts
        Whether the journal holds what its bytes say.
    triggered, found, scanned, registered, replicated
        The time of each step; None if it has not come, or if the journal was lost after it.
    """

    path: Path
    lfn: Lfn | None
    trigger: Path | None
    stamp: Stamp | None
    night: Night | None
    site: Site | None
    category: str
    priority: int
    state: FileState
    cause: str
    attempts: int
    next_try: dt.datetime | None
    why: str
    block: Did | None
    has_facts: bool
    triggered: dt.datetime | None
    found: dt.datetime | None
    scanned: dt.datetime | None
    registered: dt.datetime | None
    replicated: dt.datetime | None

    @property
    def file(self) -> str:
        """The name of the file, without its directory."""
        return self.path.name

    @property
    def size_bytes(self) -> int | None:
        """Its size; None as long as there was no file."""
        return None if self.stamp is None else self.stamp.size_bytes


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened to a file.

    Attributes
    ----------
    time
        When, by the clock of the machine that wrote it.
    event
        What: a state, ``waiting``, ``resumed``, ``changed``, ``thinned``, ...
    detail
        What there is to say of it.
    by
        Who wrote it.
    """

    time: dt.datetime
    event: str
    detail: str
    by: str


@attrs.frozen
class Tally:
    """How many files, and how much.

    Attributes
    ----------
    files
        The number of files.
    size_bytes
        Their size together.
    """

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.files + other.files, self.size_bytes + other.size_bytes)
