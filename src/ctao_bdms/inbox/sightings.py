"""What a look into the inbox says."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.inbox.stamps import Stamp
from ctao_bdms.model import ArrayElement, Category, Defect, Lfn, Night, Site
from ctao_bdms.naming import AcadaPath, Stream

if TYPE_CHECKING:
    from ctao_bdms.inbox.files import LocalFile

__all__ = ["Notice", "Poll", "Sighting", "priority_in"]


#: What comes first if priority is asked for: among the same category by the stream.
_BY_STREAM = {Stream.TELESCOPE_EVENTS: 2, Stream.SUBARRAY_EVENTS: 2, Stream.TELESCOPE_TRIGGERS: 1}
_BY_CATEGORY: dict[str, int] = {Category.A: 300, Category.B: 200, Category.C: 100}
_CATEGORY = 100


def priority_in(category: str, priority: int) -> int:
    """Return the priority of a file in a category, whose priority was known by its name, or in another category.

    Examples
    --------
    >>> priority_in("A", 2), priority_in("", 302)
    (302, 2)
    """
    return _BY_CATEGORY.get(category, 0) + priority % _CATEGORY


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
    defects
        What already stands against the file, before a byte is read.
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
    defects: tuple[Defect, ...] = ()

    @classmethod
    def of(cls, file: LocalFile, *, trigger_ns: int | None = None, site: Site | None = None) -> Sighting:
        """Say what the name of a file of the inbox says of it, too.

        Parameters
        ----------
        file
            The file.
        trigger_ns
            The time of its trigger, nanoseconds since 1970; by default it is looked at.
        site
            The site where it lies, if its name does not say.
        """
        night, priority = None, 0
        if file.lfn is not None:
            try:
                parts = AcadaPath.parse(file.lfn)
            except InvalidNameError:
                pass
            else:
                night, priority = parts.night, _BY_STREAM.get(parts.name.stream, 0)
                if ArrayElement.exists(parts.element):
                    site = ArrayElement.parse(parts.element).site
        return cls(
            path=file.path,
            lfn=file.lfn,
            trigger=file.trigger,
            trigger_ns=_modified_ns(file.trigger) if trigger_ns is None else trigger_ns,
            stamp=file.stamp,
            night=night,
            site=site,
            priority=priority,
            defects=file.defects,
        )


def _modified_ns(trigger: Path | None) -> int:
    """Return when a trigger was made, nanoseconds since 1970; 0 if there is none."""
    if trigger is not None:
        with suppress(OSError):
            return trigger.lstat().st_mtime_ns
    return 0


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
