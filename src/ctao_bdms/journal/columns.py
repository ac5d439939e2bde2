"""Convert values to and from the columns of the journal."""

from __future__ import annotations

import datetime as dt
import json
import os
import zlib
from pathlib import Path, PurePath
from typing import Any

import attrs

from ctao_bdms.inbox import Stamp
from ctao_bdms.journal.records import Entry, FileState
from ctao_bdms.model import Did, FileFacts, Lfn, Night, Site

__all__ = [
    "ENTRY",
    "ENTRY_FROM",
    "PLACE",
    "as_stored",
    "entry_of",
    "facts_from_bytes",
    "facts_to_bytes",
    "instant",
    "known_instant",
    "microseconds",
    "place_of",
    "stamp_of",
    "to_column",
    "to_text",
    "trigger_time",
]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_SIGN, _WORD = 1 << 63, 1 << 64

#: The largest size that is stored, in bytes: 9 PB. No real file is larger, and sums of many files fit into 64 bits.
_MOST_BYTES = 1 << 53

#: The range of signed 64-bit nanoseconds since 1970: the years 1677 to 2262.
_FIRST_NS, _LAST_NS = 1 - _SIGN, _SIGN - 1

#: The columns that `entry_of` reads, and their tables.
ENTRY = """
    e.id, e.path, e.lfn, e.trigger_path, e.trigger_ns, e.device, e.inode, e.size_bytes, e.modified_ns, e.night, e.site,
    e.category, e.priority, e.state, e.cause, e.attempts, e.next_try_us, e.why, b.scope, b.name,
    EXISTS (SELECT 1 FROM facts f WHERE f.entry = e.id),
    e.found_us, e.scanned_us, e.registered_us, e.replicated_us, e.changed_ns
"""
ENTRY_FROM = "FROM entries e LEFT JOIN blocks b ON b.id = e.block"


#: Assignments of the columns of `place_of`.
PLACE = ", ".join(f"{name} = :{name}" for name in attrs.fields_dict(Stamp))
_ZLIB_LEVEL = 1  # the fastest level already compresses headers to a sixth


def to_column(path: PurePath | str) -> str | bytes:
    """Return a path for the database: text, or bytes if it is not valid text."""
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def to_text(text: str) -> str:
    """Return `text` for the database; names and headers may contain invalid UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def trigger_time(time_ns: int) -> tuple[int, bool]:
    """Return the time of a trigger as stored, and whether the stored time is exact.

    Broken clocks write times outside of 64 bits: these are stored as the first or the last possible time.
    """
    kept_ns = min(max(time_ns, _FIRST_NS), _LAST_NS)
    return kept_ns, _FIRST_NS < kept_ns < _LAST_NS


def _path_of(value: str | bytes) -> Path:
    """Return the path of a column written by `to_column`."""
    return Path(os.fsdecode(value))


def microseconds(time: dt.datetime) -> int:
    """Return the microseconds since 1970 of an aware time."""
    return (time - _EPOCH) // _MICROSECOND


def known_instant(time_us: int) -> dt.datetime:
    """Return the UTC time of microseconds since 1970."""
    return _EPOCH + time_us * _MICROSECOND


def instant(time_us: int | None) -> dt.datetime | None:
    """Return the UTC time of microseconds since 1970; None for None."""
    return None if time_us is None else known_instant(time_us)


def place_of(stamp: Stamp | None) -> dict[str, int | None]:
    """Return the columns of a stamp.

    The database has signed 64-bit numbers. The lower 64 bits of device, inode and times suffice to distinguish files.
    """
    if stamp is None:
        return {"device": None, "inode": None, "size_bytes": 0, "modified_ns": None, "changed_ns": None}
    return {
        "device": _wrapped(stamp.device),
        "inode": _wrapped(stamp.inode),
        "size_bytes": min(max(stamp.size_bytes, 0), _MOST_BYTES),
        "modified_ns": _wrapped(stamp.modified_ns),
        "changed_ns": None if stamp.changed_ns is None else _wrapped(stamp.changed_ns),
    }


def _wrapped(number: int) -> int:
    """Return the lower 64 bits of a number as a signed number."""
    return (number + _SIGN) % _WORD - _SIGN


def stamp_of(place: tuple[int | None, int | None, int, int | None, int | None]) -> Stamp | None:
    """Return the stamp in the columns of `place_of`."""
    device, inode, size_bytes, modified_ns, changed_ns = place
    if device is None or inode is None or modified_ns is None:
        return None
    return Stamp(device % _WORD, inode % _WORD, size_bytes, modified_ns, changed_ns)


def as_stored(stamp: Stamp) -> Stamp | None:
    """Return a stamp as it would be read back, to compare it with stored ones."""
    device, inode, size_bytes, modified_ns, changed_ns = place_of(stamp).values()
    return stamp_of((device, inode, size_bytes or 0, modified_ns, changed_ns))


def entry_of(row: tuple[Any, ...]) -> Entry:
    """Return the entry in a row of `ENTRY`."""
    return Entry(
        path=_path_of(row[1]),
        lfn=None if row[2] is None else Lfn(row[2]),
        trigger=None if row[3] is None else _path_of(row[3]),
        stamp=stamp_of((*row[5:9], row[25])),
        night=Night.parse(row[9]) if row[9] else None,
        site=Site(row[10]) if row[10] else None,
        category=row[11],
        priority=row[12],
        state=FileState(row[13]),
        cause=row[14],
        attempts=row[15],
        next_try=instant(row[16]),
        why=row[17],
        block=None if row[18] is None else Did(row[18], row[19]),
        has_facts=bool(row[20]),
        triggered=instant(row[4] // 1000) if row[4] else None,
        found=instant(row[21]),
        scanned=instant(row[22]),
        registered=instant(row[23]),
        replicated=instant(row[24]),
    )


def facts_to_bytes(facts: FileFacts) -> bytes:
    """Serialise facts for the journal."""
    return zlib.compress(json.dumps(facts.to_wire(), separators=(",", ":")).encode(), _ZLIB_LEVEL)


def facts_from_bytes(body: bytes) -> FileFacts:
    """Read facts serialised by `facts_to_bytes`."""
    return FileFacts.from_wire(json.loads(zlib.decompress(body)))
