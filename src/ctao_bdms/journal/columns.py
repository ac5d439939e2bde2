"""How values stand in the columns of the journal."""

from __future__ import annotations

import datetime as dt
import json
import os
import zlib
from pathlib import Path, PurePath
from typing import Any

import attrs

from ctao_bdms.inbox import Stamp
from ctao_bdms.journal.values import Entry, FileState
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

#: The largest size that is kept, in bytes: 9 PB. No real file is larger, and sums of many stay numbers of 64 bits.
_MOST_BYTES = 1 << 53

#: What can be counted since 1970 in nanoseconds of 64 bits with a sign: the years 1677 to 2262.
_FIRST_NS, _LAST_NS = 1 - _SIGN, _SIGN - 1

#: The columns that `entry_of` reads, and where they come from.
ENTRY = """
    e.id, e.path, e.lfn, e.trigger_path, e.trigger_ns, e.device, e.inode, e.size_bytes, e.modified_ns, e.night, e.site,
    e.category, e.priority, e.state, e.cause, e.attempts, e.next_try_us, e.why, b.scope, b.name,
    EXISTS (SELECT 1 FROM facts f WHERE f.entry = e.id),
    e.found_us, e.scanned_us, e.registered_us, e.replicated_us, e.changed_ns
"""
ENTRY_FROM = "FROM entries e LEFT JOIN blocks b ON b.id = e.block"


#: Sets the columns of `place_of`.
PLACE = ", ".join(f"{name} = :{name}" for name in attrs.fields_dict(Stamp))
_ZLIB_LEVEL = 1  # headers repeat themselves: the fastest level makes a sixth of them already


def to_column(path: PurePath | str) -> str | bytes:
    """Return a path as the database can hold it: as text, or as bytes if it is none."""
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def to_text(text: str) -> str:
    """Return `text` as the database can hold it: names and headers may have bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def trigger_time(time_ns: int) -> tuple[int, bool]:
    """Return the time of a trigger as the journal keeps it, and whether that tells it from other times.

    Broken clocks write times that 64 bits do not count: the first and the last one stand for all of those.
    """
    kept_ns = min(max(time_ns, _FIRST_NS), _LAST_NS)
    return kept_ns, _FIRST_NS < kept_ns < _LAST_NS


def _path_of(value: str | bytes) -> Path:
    """Return the path that `to_column` made `value` of."""
    return Path(os.fsdecode(value))


def microseconds(time: dt.datetime) -> int:
    """Return an aware instant in microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def known_instant(time_us: int) -> dt.datetime:
    """Return the instant, UTC, that is so many microseconds after 1970."""
    return _EPOCH + time_us * _MICROSECOND


def instant(time_us: int | None) -> dt.datetime | None:
    """Return the instant, UTC, that is so many microseconds after 1970; None for None."""
    return None if time_us is None else known_instant(time_us)


def place_of(stamp: Stamp | None) -> dict[str, int | None]:
    """Return the columns that hold a stamp; the database counts 64 bits with a sign.

    They tell files apart: of device, inode and times the lower 64 bits do that as well as all of them.
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
    """Return the lower 64 bits of a number, with a sign."""
    return (number + _SIGN) % _WORD - _SIGN


def stamp_of(place: tuple[int | None, int | None, int, int | None, int | None]) -> Stamp | None:
    """Return the stamp that the columns of `place_of` hold."""
    device, inode, size_bytes, modified_ns, changed_ns = place
    if device is None or inode is None or modified_ns is None:
        return None
    return Stamp(device % _WORD, inode % _WORD, size_bytes, modified_ns, changed_ns)


def as_stored(stamp: Stamp) -> Stamp | None:
    """Return a stamp as the columns give it back, to be compared with what they hold."""
    device, inode, size_bytes, modified_ns, changed_ns = place_of(stamp).values()
    return stamp_of((device, inode, size_bytes or 0, modified_ns, changed_ns))


def entry_of(row: tuple[Any, ...]) -> Entry:
    """Return a row of `ENTRY` as an entry."""
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
    """Return `facts` as the journal stores them."""
    return zlib.compress(json.dumps(facts.to_wire(), separators=(",", ":")).encode(), _ZLIB_LEVEL)


def facts_from_bytes(body: bytes) -> FileFacts:
    """Return the facts that `facts_to_bytes` made `body` of."""
    return FileFacts.from_wire(json.loads(zlib.decompress(body)))
