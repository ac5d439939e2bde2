"""Out of quarantine again: back to where a file came from, for another walk, and an operator's word that it enters.

Everything is recorded before it is done, with who, when and why: in the case's document and in ``events.jsonl`` beside
the cases. A crash in between leaves the file in its case, to be released again.
"""

from __future__ import annotations

import datetime as dt
import errno
import getpass
import json
import os
import shutil
import socket
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError, UsageError
from ctao_bdms.ingest.cases import REASON, TRIGGER, sync_folder, write_durably
from ctao_bdms.ingest.triggers import TRIGGER_SUFFIX
from ctao_bdms.integrity import copy_verified
from ctao_bdms.model import DefectKind, ProductMetadata
from ctao_bdms.naming import AcadaPath

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ctao_bdms.ingest.cases import Case
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.ingest.quarantine import Quarantine
    from ctao_bdms.model import Defect

__all__ = ["ACCEPTABLE", "EVENTS", "Deed", "accepted", "release", "require_acceptable"]

#: The kinds of defects in spite of which an operator may let a file into the archive.
ACCEPTABLE = frozenset(
    {
        DefectKind.CORRUPT,
        DefectKind.INVALID_METADATA,
        DefectKind.MISSING_METADATA,
        DefectKind.NAME_MISMATCH,
        DefectKind.STRUCTURE,
        DefectKind.TRAILING_BYTES,
        DefectKind.TRUNCATED,
        DefectKind.UNCHECKED,
    }
)
#: What has been done with the cases, one JSON object a line, never changed.
EVENTS = "events.jsonl"


@attrs.frozen(kw_only=True)
class Deed:
    """What is done with a case, by whom, when and why.

    Attributes
    ----------
    what
        ``release``, ``retry`` or ``accept``.
    who
        ``user@host``.
    when
        When (aware).
    why
        The operator's reason; empty if none was given.
    """

    what: str
    who: str
    when: dt.datetime
    why: str = ""

    @classmethod
    def now(cls, what: str, when: dt.datetime, why: str = "") -> Deed:
        """Return a deed of this process's user."""
        return cls(what=what, who=f"{getpass.getuser()}@{socket.gethostname()}", when=when, why=why)

    def to_wire(self) -> dict[str, str]:
        """Return it as JSON can carry it."""
        when = self.when.astimezone(dt.UTC).isoformat(timespec="seconds")
        return {"what": self.what, "who": self.who, "when": when, "why": self.why}


def release(quarantine: Quarantine, case: Case, deed: Deed) -> Path:
    """Move the file of `case` back to where it came from, with a trigger; return where that is.

    Raises
    ------
    UsageError
        If another file lies there by now, or the case holds none; nothing is changed.
    """
    target = case.path
    if not os.path.lexists(case.file):
        raise UsageError(f"case {case.id} holds no file")
    is_back = os.path.lexists(target) and target.samefile(case.file)  # a crash came after the link
    if os.path.lexists(target) and not is_back:
        raise UsageError(f"there is a file at {target} by now; case {case.id} stays in quarantine")
    _record(quarantine, case, deed)
    if not is_back:
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(case.file, target, case)
    trigger = case.trigger or target.with_name(target.name + TRIGGER_SUFFIX)
    kept = case.folder / TRIGGER
    if not os.path.lexists(trigger):
        trigger.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(kept):
            _link_trigger(kept, trigger)
        else:
            trigger.symlink_to(os.path.relpath(target, trigger.parent))
    sync_folder(target.parent)
    kept.unlink(missing_ok=True)
    case.file.unlink(missing_ok=True)
    if case.folder.exists():
        quarantine.put_away(case.folder)
    return target


def require_acceptable(case: Case) -> None:
    """Make sure that an operator may accept the file of `case`.

    Raises
    ------
    UsageError
        If it has a defect that nobody can accept.
    """
    others = sorted({defect.kind.value for defect in case.defects if defect.kind not in ACCEPTABLE})
    if others or case.lfn is None:
        what = ", ".join(others) or "without a name"
        raise UsageError(
            f"case {case.id} is {what} and cannot be accepted; "
            f"what can be is {', '.join(sorted(kind.value for kind in ACCEPTABLE))}"
        )


def accepted(item: Described, defects: Iterable[Defect], deed: Deed) -> Described:
    """Return `item` as it enters the archive in spite of `defects`.

    Defects of other kinds still keep it out. What the headers do not say of level and night is taken from the path, and
    the disclaimer of the product says what was accepted, by whom and why.
    """
    kinds = {defect.kind for defect in defects} & ACCEPTABLE
    try:
        path = None if item.file.lfn is None else AcadaPath.parse(item.file.lfn)
    except InvalidNameError:
        path = None
    if path is None or item.file.lfn is None or not {defect.kind for defect in item.defects} <= kinds:
        return item
    found = ", ".join(dict.fromkeys(defect.kind.value for defect in item.defects))
    metadata = {"data__level": "DL0", "instance__observing_night": path.night.date, **item.metadata}
    if found:
        metadata["disclaimer"] = f"accepted by {deed.who} on {deed.when:%F} in spite of: {found}. {deed.why}"
    return attrs.evolve(item, defects=(), metadata=ProductMetadata(metadata))


def _record(quarantine: Quarantine, case: Case, deed: Deed) -> None:
    """Write `deed` into the case's document and into the log of events.

    The stamp of the file goes from the document: from now on the same file at its old place is no remainder of its
    moving here, and must not be removed there.
    """
    document = {**case.reason, "stamp": None}
    document["history"] = [*document.get("history", []), deed.to_wire()]
    write_durably(case.folder / REASON, json.dumps(document, indent=2) + "\n")
    line = json.dumps({"case": case.id, **deed.to_wire()}) + "\n"
    descriptor = os.open(quarantine.folder / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(source: Path, target: Path, case: Case) -> None:
    """Give a file a second name, which must be free; on another file system, give its copy that name."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise UsageError(f"there is a file at {target} by now; case {case.id} stays in quarantine") from None
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        status, copy = source.stat(), target.with_name(f".{target.name[:200]}.{case.id}")
        copy_verified(source, copy, adler32=case.digests.get("adler32"), sha256=case.digests.get("sha256"))
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        try:
            target.hardlink_to(copy)
        except FileExistsError:
            raise UsageError(f"there is a file at {target} by now; case {case.id} stays in quarantine") from None
        finally:
            copy.unlink()


def _link_trigger(source: Path, target: Path) -> None:
    """Put a trigger, which may be a link, at a free place."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copy2(source, target, follow_symlinks=False)
