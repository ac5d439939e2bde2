"""The results of a poll of the inbox."""

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


#: Priorities: by the category first, then by the stream.
_BY_STREAM = {Stream.TELESCOPE_EVENTS: 2, Stream.SUBARRAY_EVENTS: 2, Stream.TELESCOPE_TRIGGERS: 1}
_BY_CATEGORY: dict[str, int] = {Category.A: 300, Category.B: 200, Category.C: 100}
_CATEGORY = 100


def priority_in(category: str, priority: int) -> int:
    """Return `priority` for a file that is now known to be in `category`.

    Examples
    --------
    >>> priority_in("A", 2), priority_in("", 302)
    (302, 2)
    """
    return _BY_CATEGORY.get(category, 0) + priority % _CATEGORY


@attrs.frozen(kw_only=True)
class Sighting:
    """A trigger and its data file.

    Attributes
    ----------
    path
        The path of the data file.
    lfn
        Its logical file name; None if the file name is invalid.
    trigger
        The trigger; None if there is none.
    trigger_ns
        The mtime of the trigger, nanoseconds since 1970; 0 if there is none.
    stamp
        The stamp of the data file; None if it does not exist.
    night, site
        Night and site by the name; None if the name has none.
    category
        Its processing category, if it is known.
    priority
        Higher priorities are scanned first.
    defects
        Defects that are known before the file is read.
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
        """Return the sighting of a file, with night, site and priority by its name.

        Parameters
        ----------
        trigger_ns
            The mtime of its trigger, nanoseconds since 1970; by default it is read from the file system.
        site
            The site of the storage, for a name without a telescope.
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
    """Return the mtime of a trigger, nanoseconds since 1970; 0 if there is none."""
    if trigger is not None:
        with suppress(OSError):
            return trigger.lstat().st_mtime_ns
    return 0


@attrs.frozen
class Notice:
    """A problem in the inbox; reported once, until it is over or its message changes."""

    path: Path
    message: str


@attrs.define(kw_only=True)
class Poll:
    """The changes since the last poll.

    Attributes
    ----------
    found
        New triggers, or triggers made again, whose data file exists.
    gone
        Triggers that were removed.
    waiting
        New triggers without a data file, or with a link that contradicts their name. Each is found as soon as that is
        repaired.
    errors
        Folders that cannot be read, and invalid triggers.
    more
        Whether the poll reached its limit, so that the next one should follow at once.
    """

    found: list[Sighting] = attrs.Factory(list)
    gone: list[Path] = attrs.Factory(list)
    waiting: list[Notice] = attrs.Factory(list)
    errors: list[Notice] = attrs.Factory(list)
    more: bool = False
