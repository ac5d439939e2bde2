"""The records of the journal."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path

import attrs

from ctao_bdms.inbox import Stamp
from ctao_bdms.model import Did, FileFacts, Lfn, Night, Site

__all__ = ["Entry", "Event", "FileState", "Order", "Rejected", "Scanned", "Tally", "Waiting"]


class FileState(StrEnum):
    """The state of a file.

    Independent of it, an entry in any state has a `cause` as long as it waits.
    """

    #: Its trigger was seen; it is not yet scanned.
    FOUND = "found"
    #: It was scanned, and the journal has its facts.
    SCANNED = "scanned"
    #: It is in the catalogue.
    REGISTERED = "registered"
    #: It has all its copies.
    REPLICATED = "replicated"
    #: It was rejected, and does not enter the archive.
    QUARANTINED = "quarantined"
    #: Its trigger was removed before it was registered.
    WITHDRAWN = "withdrawn"


class Order(StrEnum):
    """The order in which files are processed."""

    #: The newest night first; within a night, the file that was found last.
    NEWEST_NIGHT = "newest-night-first"
    #: The oldest night first; within a night, the file that was found first.
    OLDEST = "oldest-first"
    #: Category A first, then B, then C, from the headers of scanned files; then events, triggers and the rest, from
    #: the file names; within the same priority, the newest night.
    PRIORITY = "priority"


@attrs.frozen(kw_only=True)
class Scanned:
    """The result of a scan.

    Attributes
    ----------
    stamp
        Its stamp, taken before the scan.
    category
        Its processing category from the content; empty keeps that of the sighting.
    priority
        Its new priority; None keeps that of the sighting.
    """

    path: Path
    stamp: Stamp
    facts: FileFacts
    category: str = ""
    priority: int | None = None


@attrs.frozen(kw_only=True)
class Rejected:
    """A file that was rejected.

    Attributes
    ----------
    path
        Its path in the inbox.
    why
        All its defects, as text.
    case
        Its folder in quarantine; None if it stays in place.
    """

    path: Path
    why: str
    case: Path | None = None


@attrs.frozen(kw_only=True)
class Waiting:
    """A file that must wait.

    Attributes
    ----------
    cause
        The cause, one stable word.
    why
        The reason, as a sentence.
    next_try
        The time of its retry, aware; None if only `Journal.resume` makes it due.
    """

    path: Path
    cause: str
    why: str
    next_try: dt.datetime | None = None


@attrs.frozen(kw_only=True)
class Entry:
    """The state of one file in the journal.

    Attributes
    ----------
    path, lfn, trigger, stamp, night, site, category, priority
        As in `Sighting`; after a scan, the stamp is that of the scanned content.
    cause
        The cause that it waits for; empty if it does not wait.
    attempts
        The number of failed attempts since its last change of state.
    next_try
        The time of its retry, if it has one.
    why
        The reason why it waits, is in quarantine or was withdrawn.
    block
        Its block, once it is registered.
    has_facts
        Whether the journal has its facts.
    triggered, found, scanned, registered, replicated
        The time of each step; None before the step, or if the journal was lost after it.
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
        """Its size; None if the file did not exist yet."""
        return None if self.stamp is None else self.stamp.size_bytes


@attrs.frozen(kw_only=True)
class Event:
    """A change of a file in the journal.

    Attributes
    ----------
    time
        The time by the clock of the machine that wrote it.
    event
        The new state, or ``waiting``, ``resumed``, ``changed``, ``thinned``, ...
    by
        The name of the writer.
    """

    time: dt.datetime
    event: str
    detail: str
    by: str


@attrs.frozen
class Tally:
    """The number of files and their total size."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.files + other.files, self.size_bytes + other.size_bytes)
