"""Restore quarantined files into the inbox, for another ingest.

Who restores a file, when and why is recorded first: in the case's document and in ``events.jsonl`` beside the cases.
A crash in between leaves the file in its case, to be restored again.

A trigger gives a file to a daemon. So a restored file gets a new one, and a file that the same command ingests gets
none: a daemon would read it at the same time, and might move it away while it is registered.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ctao_bdms.durable import replace_text, sync_folder
from ctao_bdms.errors import UsageError
from ctao_bdms.inbox import TRIGGER_SUFFIX
from ctao_bdms.integrity import copy_verified
from ctao_bdms.model import DefectKind
from ctao_bdms.quarantine.actions import write_down
from ctao_bdms.quarantine.cases import REASON
from ctao_bdms.quarantine.folder import is_copy

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.quarantine.actions import OperatorAction
    from ctao_bdms.quarantine.cases import Case
    from ctao_bdms.quarantine.folder import Quarantine

__all__ = ["ACCEPTABLE", "close_case", "require_acceptable", "restore", "restore_without_trigger"]

#: Defects that an operator may accept, so that the file enters the archive with them.
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


def restore(quarantine: Quarantine, case: Case, action: OperatorAction, *, with_trigger: bool = True) -> Path:
    """Move the file of `case` back to its place in the inbox; return that path.

    Parameters
    ----------
    with_trigger
        Make a new trigger with the content of the old one, so that a daemon ingests the file at once.

    Raises
    ------
    UsageError
        If another file lies there by now, or the case holds none; nothing is changed.
    """
    target = _link_back(quarantine, case, action)
    if with_trigger:
        _put_trigger(case)
    sync_folder(target.parent)
    close_case(quarantine, case)
    return target


def restore_without_trigger(quarantine: Quarantine, case: Case, action: OperatorAction) -> Path:
    """Link the file of `case` back to its place, without a trigger; return that path.

    No daemon ingests it there. The case holds it, too, until `close_case`: a crash in between loses nothing.

    Raises
    ------
    UsageError
        If another file lies there by now, a trigger stands there, or the case holds no file; nothing is changed.
    """
    trigger = case.trigger or _trigger_of(case.path)
    if os.path.lexists(trigger):
        raise UsageError(
            f"the trigger {trigger} stands: a daemon may take what it is for; case {case.id} stays in quarantine"
        )
    target = _link_back(quarantine, case, action)
    sync_folder(target.parent)
    return target


def close_case(quarantine: Quarantine, case: Case) -> None:
    """Move a case to ``closed`` after its file was restored or moved to another case."""
    case.kept_trigger.unlink(missing_ok=True)
    case.file.unlink(missing_ok=True)
    if case.folder.exists():
        quarantine.put_away(case.folder)


def require_acceptable(case: Case) -> None:
    """Check that an operator may accept the file of `case`.

    Raises
    ------
    UsageError
        If it has a defect that cannot be accepted.
    """
    others = sorted({defect.kind.value for defect in case.defects if defect.kind not in ACCEPTABLE})
    if others or case.lfn is None:
        what = ", ".join(others) or "without a name"
        raise UsageError(
            f"case {case.id} is {what} and cannot be accepted; "
            f"what can be is {', '.join(sorted(kind.value for kind in ACCEPTABLE))}"
        )


def _record(quarantine: Quarantine, case: Case, action: OperatorAction) -> None:
    """Record `action` in the case's document and in the log of the quarantine.

    The stamp of the file is removed from the document: from now on the same file at its old place is not left from an
    interrupted move into quarantine, and must not be removed there.
    """
    document = {**case.reason, "stamp": None}
    document["history"] = [*document.get("history", []), action.to_wire()]
    replace_text(case.folder / REASON, json.dumps(document, indent=2) + "\n")
    write_down(quarantine.folder, case.id, action)


def _link_back(quarantine: Quarantine, case: Case, action: OperatorAction) -> Path:
    target = case.path
    if not os.path.lexists(case.file):
        raise UsageError(f"case {case.id} holds no file")
    is_back = target.is_file() and is_copy(case.file, target)  # an earlier call was interrupted after the link
    if os.path.lexists(target) and not is_back:
        raise UsageError(f"there is a file at {target} by now; case {case.id} stays in quarantine")
    _record(quarantine, case, action)
    if not is_back:
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(case.file, target, case)
    return target


def _link(source: Path, target: Path, case: Case) -> None:
    """Hard-link `source` to `target`, which must be free; copy across file systems."""
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


def _trigger_of(path: Path) -> Path:
    return path.with_name(path.name + TRIGGER_SUFFIX)


def _put_trigger(case: Case) -> None:
    """Make a new trigger with the content of the old one, unless one is there already.

    A trigger that is there already, made again, would tell a daemon nothing new.
    """
    trigger, kept = case.trigger or _trigger_of(case.path), case.kept_trigger
    if os.path.lexists(trigger):
        return
    trigger.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        if kept.is_symlink():
            trigger.symlink_to(kept.readlink())
        elif kept.is_file():
            # The trigger gets its name only when it is complete: a daemon may read it at once.
            new = trigger.with_name(f".{trigger.name[:200]}.{case.id}")
            new.write_bytes(kept.read_bytes())
            try:
                trigger.hardlink_to(new)
            finally:
                new.unlink()
        else:
            trigger.symlink_to(os.path.relpath(case.path, trigger.parent))
