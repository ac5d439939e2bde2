"""Write sightings of files into the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.causes import Cause
from ctao_bdms.journal.columns import PLACE, as_stored, place_of, stamp_of, to_column, to_text, trigger_time
from ctao_bdms.journal.records import FileState
from ctao_bdms.journal.writing import RESET

if TYPE_CHECKING:
    from ctao_bdms.inbox import Sighting
    from ctao_bdms.journal.writing import Transaction

__all__ = ["NO_FILE", "observe"]

#: The cause of a file whose trigger exists before the file.
NO_FILE = Cause.NO_FILE.value

_OPEN = {FileState.FOUND, FileState.SCANNED}
_KNOWN = (
    "SELECT id, state, cause, trigger_ns, device, inode, size_bytes, modified_ns, changed_ns FROM entries "
    "WHERE path = ?"
)


def observe(work: Transaction, seen: Sighting) -> str:
    """Write one sighting; return ``new``, ``again`` or ``known``, as in `Observed`."""
    rows = work.run(_KNOWN, to_column(seen.path))
    if not rows:
        _add(work, seen)
        return "new"
    number, state, cause, trigger_ns, device, inode, size_bytes, modified_ns, changed_ns = rows[0]
    known = stamp_of((device, inode, size_bytes, modified_ns, changed_ns))
    if seen.stamp is None:
        # The facts are kept: the file may be missing only because the storage is not mounted.
        if state not in _OPEN or cause == NO_FILE:
            return "known"
        work.run(f"UPDATE entries SET {RESET}, state = 'found', cause = ? WHERE id = ?", NO_FILE, number)
        work.event(number, FileState.FOUND, "there is no such file any more")
        return "again"
    told = as_stored(seen.stamp)
    is_same = known is not None and told is not None and known.is_same(told)
    seen_ns, is_told_apart = trigger_time(seen.trigger_ns)
    if is_same and cause != NO_FILE:
        # A trigger without an exact time may be new: the file is ingested again, which is idempotent.
        if state in _OPEN or (state != FileState.WITHDRAWN and trigger_ns == seen_ns and is_told_apart):
            return "known"
    elif not is_same:
        work.run("DELETE FROM facts WHERE entry = ?", number)
    work.run(
        f"UPDATE entries SET {RESET}, state = 'found', trigger_path = :trigger, trigger_ns = :trigger_ns, {PLACE}, "
        "thinned = 0 WHERE id = :number",
        trigger=None if seen.trigger is None else to_column(seen.trigger),
        trigger_ns=seen_ns,
        number=number,
        **place_of(seen.stamp),
    )
    work.event(number, FileState.FOUND, "its trigger stands again" if is_same else "the file is new or has changed")
    _take_facts(work, number, seen)
    return "again"


def _add(work: Transaction, seen: Sighting) -> None:
    """Add the entry of a file that the journal does not know."""
    ((number,),) = work.run(
        "INSERT INTO entries (path, lfn, trigger_path, trigger_ns, device, inode, size_bytes, modified_ns, changed_ns, "
        "night, site, category, priority, state, cause, found_us) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'found', ?, ?) RETURNING id",
        to_column(seen.path),
        None if seen.lfn is None else seen.lfn.text,
        None if seen.trigger is None else to_column(seen.trigger),
        trigger_time(seen.trigger_ns)[0],
        *place_of(seen.stamp).values(),
        str(seen.night or ""),
        str(seen.site or ""),
        to_text(seen.category),
        seen.priority,
        NO_FILE if seen.stamp is None else "",
        work.now_us,
    )
    work.event(number, FileState.FOUND, "" if seen.stamp else "there is no such file yet")
    if seen.stamp is not None:
        _take_facts(work, number, seen)


def _take_facts(work: Transaction, number: int, seen: Sighting) -> None:
    """Reuse facts of the same stamp if there are any, and mark the file as scanned."""
    known = work.run(
        "SELECT e.id, e.path FROM entries e JOIN facts f ON f.entry = e.id WHERE e.inode = :inode "
        "AND e.size_bytes = :size_bytes AND e.modified_ns = :modified_ns "
        "AND (e.device = :device AND e.changed_ns IS :changed_ns OR e.id = :number) "
        "ORDER BY e.id = :number DESC LIMIT 1",
        number=number,
        **place_of(seen.stamp),
    )
    for other, path in known:
        if other != number:
            work.run("INSERT INTO facts SELECT ?, body FROM facts WHERE entry = ?", number, other)
        work.run("UPDATE entries SET state = 'scanned', scanned_us = ? WHERE id = ?", work.now_us, number)
        where = "" if other == number else f", as {path}"
        work.event(number, FileState.SCANNED, f"its bytes had been read before{where}")
