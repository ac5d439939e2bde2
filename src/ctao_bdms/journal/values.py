"""What the journal keeps of one file."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path

import attrs

from ctao_bdms.inbox import Stamp
from ctao_bdms.model import Did, FileFacts, Lfn, Night, Site

__all__ = ["Entry", "Event", "FileState", "Order", "Rejected", "Scanned", "Tally", "Waiting"]


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
    #: Category A first, then B, then C, as the headers say once they are read; then events, triggers and the rest, as
    #: the names say; among the same the newest night.
    PRIORITY = "priority"


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
