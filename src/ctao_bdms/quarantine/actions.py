"""The append-only log of operators' actions on quarantine cases.

An action is logged before it is done, the outcome of the file afterwards. The daemon reads new lines of the log, so
that its journal follows what operators do beside it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import attrs

from ctao_bdms.model import Did
from ctao_bdms.processes import person
from ctao_bdms.quarantine.cases import path_said
from ctao_bdms.quarantine.reasons import named

__all__ = ["EVENTS", "Entered", "OperatorAction", "entered_since", "tell_outcome", "write_down"]

#: Name of the log in the quarantine folder, with one JSON object a line.
EVENTS = "events.jsonl"


@attrs.frozen(kw_only=True)
class OperatorAction:
    """An operator's action on a quarantine case.

    Attributes
    ----------
    what
        ``release``, ``retry`` or ``accept``.
    who
        ``user@host``.
    when
        Time of the action (aware).
    why
        The operator's reason; empty if none was given.
    """

    what: str
    who: str
    when: dt.datetime
    why: str = ""

    @classmethod
    def now(cls, what: str, when: dt.datetime, why: str = "") -> OperatorAction:
        """Return an action by the user of this process."""
        return cls(what=what, who=person(), when=when, why=why)

    def to_wire(self) -> dict[str, str]:
        """Return a JSON object."""
        when = self.when.astimezone(dt.UTC).isoformat(timespec="seconds")
        return {"what": self.what, "who": self.who, "when": when, "why": self.why}


@attrs.frozen(kw_only=True)
class Entered:
    """A file from quarantine that entered the archive.

    Attributes
    ----------
    path
        Its path in the inbox.
    when
        Time of its log line (aware).
    """

    path: Path
    block: Did | None
    when: dt.datetime


def write_down(folder: Path, case_id: str, action: OperatorAction) -> None:
    """Log an action on a case, before it is done."""
    _append(folder, {"case": case_id, **action.to_wire()})


def tell_outcome(
    folder: Path, case_id: str, status: str, path: Path, now: dt.datetime, *, block: Did | None, into: Path | None
) -> None:
    """Log the outcome for the file of a case.

    Parameters
    ----------
    case_id
        The case that the file was taken out of.
    status, path
        The status of the ingest, and the path of the file in the inbox.
    block, into
        The block or the new case that holds the file now; None if there is none.
    """
    _append(
        folder,
        {
            "case": case_id,
            "what": status,
            "when": now.astimezone(dt.UTC).isoformat(),
            **named("path", path),
            "block": None if block is None else [block.scope, block.name],
            "into": None if into is None else into.name,
        },
    )


def entered_since(folder: Path, position: int) -> tuple[list[Entered], int]:
    """Return files that entered the archive since `position`, and the new position.

    Parameters
    ----------
    folder
        The quarantine folder; it need not exist.
    position
        The end of the log at the last call, in bytes; 0 at first. A log that is shorter was replaced and is read whole.
    """
    try:
        with (folder / EVENTS).open("rb") as log:
            size_bytes = os.fstat(log.fileno()).st_size
            if size_bytes == position:
                return [], position
            position = position if size_bytes > position else 0
            log.seek(position)
            whole = log.read(size_bytes - position).rpartition(b"\n")[:2]  # the last line may be incomplete
    except FileNotFoundError:
        return [], 0
    text = b"".join(whole)
    found = [entered for line in text.splitlines() if (entered := _entered(line)) is not None]
    return found, position + len(text)


def _entered(line: bytes) -> Entered | None:
    """Parse a line about a file that entered; return None for any other line."""
    try:
        said: dict[str, Any] = json.loads(line)
        if said["what"] not in {"registered", "known"}:
            return None
        block = None if said["block"] is None else Did(*said["block"])
        path = path_said(said["path"], said.get("path_bytes"))
        when = dt.datetime.fromisoformat(said["when"])
        return None if when.tzinfo is None else Entered(path=path, block=block, when=when)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # a power cut leaves half a line, an editor anything


def _append(folder: Path, line: dict[str, Any]) -> None:
    """Append a line and flush it to disk."""
    descriptor = os.open(folder / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, f"{json.dumps(line)}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
