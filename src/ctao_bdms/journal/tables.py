"""Tables of entries and events."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.journal.records import Entry
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ctao_bdms.journal.reader import JournalReader

__all__ = ["FileEvent", "JournalEntries", "JournalEvents", "file_events"]


@attrs.frozen(kw_only=True)
class FileEvent:
    """An `Event` with the path of its file."""

    time: dt.datetime
    path: str
    event: str
    detail: str
    by: str

    @property
    def file(self) -> str:
        """The name of the file, without its directory."""
        return self.path.rpartition("/")[2]


def file_events(journal: JournalReader, entries: Iterable[Entry]) -> Iterator[FileEvent]:
    """Yield the events of `entries`, one file after the other."""
    for entry in entries:
        for event in journal.events(entry.path):
            yield FileEvent(time=event.time, path=str(entry.path), event=event.event, detail=event.detail, by=event.by)


class JournalEntries(Rows[Entry]):
    """A table of entries, one row for each file."""

    columns: ClassVar = (
        ("file", "file"),
        ("night", "night"),
        ("state", "state"),
        ("waits for", "cause"),
        ("attempts", "attempts"),
        ("bytes", "size_bytes"),
        ("found", "found"),
        ("why", "why"),
    )


class JournalEvents(Rows[FileEvent]):
    """A table of events, one row for each event."""

    columns: ClassVar = (
        ("time", "time"),
        ("file", "file"),
        ("event", "event"),
        ("detail", "detail"),
        ("by", "by"),
    )
