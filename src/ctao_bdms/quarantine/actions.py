"""What operators have done with cases of the quarantine, and what came of it: one log, never changed.

Each action is written down before it is done; what became of the file, afterwards. A daemon that put a file there reads
the log on: so its journal learns what was done beside it.
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

#: The log in the folder of the quarantine, one JSON object a line.
EVENTS = "events.jsonl"


@attrs.frozen(kw_only=True)
class OperatorAction:
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
    def now(cls, what: str, when: dt.datetime, why: str = "") -> OperatorAction:
        """Return an action of this process's user."""
        return cls(what=what, who=person(), when=when, why=why)

    def to_wire(self) -> dict[str, str]:
        """Return it as JSON can carry it."""
        when = self.when.astimezone(dt.UTC).isoformat(timespec="seconds")
        return {"what": self.what, "who": self.who, "when": when, "why": self.why}


@attrs.frozen(kw_only=True)
class Entered:
    """A file from quarantine that is in the archive now.

    Attributes
    ----------
    path
        Where it lies.
    block
        The block that it is in.
    when
        When that was known (aware).
    """

    path: Path
    block: Did | None
    when: dt.datetime


def write_down(folder: Path, case_id: str, action: OperatorAction) -> None:
    """Write an action into the log of the quarantine `folder`, before it is done."""
    _append(folder, {"case": case_id, **action.to_wire()})


def tell_outcome(
    folder: Path, case_id: str, status: str, path: Path, now: dt.datetime, *, block: Did | None, into: Path | None
) -> None:
    """Write into the log what became of the file of a case.

    Parameters
    ----------
    folder
        The folder of the quarantine.
    case_id
        The case that the file was taken out of.
    status, path
        What became of the file, as an ingest says it, and where it lay.
    now
        The present (aware).
    block, into
        The block that holds it now, or the case that it is in; None if there is none.
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
    """Return the files that entered the archive by what was written after `position`, and where the log ends now.

    Parameters
    ----------
    folder
        The folder of the quarantine; there may be none yet.
    position
        Where the log ended at the last look, in bytes; 0 at the first. A log that is shorter is another one.
    """
    try:
        with (folder / EVENTS).open("rb") as log:
            size_bytes = os.fstat(log.fileno()).st_size
            if size_bytes == position:
                return [], position
            position = position if size_bytes > position else 0
            log.seek(position)
            whole = log.read(size_bytes - position).rpartition(b"\n")[:2]  # a line may still be written
    except FileNotFoundError:
        return [], 0
    text = b"".join(whole)
    found = [entered for line in text.splitlines() if (entered := _entered(line)) is not None]
    return found, position + len(text)


def _entered(line: bytes) -> Entered | None:
    """Return what a line says of a file that entered; None if it says something else."""
    try:
        said: dict[str, Any] = json.loads(line)
        if said["what"] not in {"registered", "known"}:
            return None
        block = None if said["block"] is None else Did(*said["block"])
        path = path_said(said["path"], said.get("path_bytes"))
        when = dt.datetime.fromisoformat(said["when"])
        return None if when.tzinfo is None else Entered(path=path, block=block, when=when)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # a power cut leaves half a line, and an editor leaves anything


def _append(folder: Path, line: dict[str, Any]) -> None:
    """Append a line, so that it is on the disk when this returns."""
    descriptor = os.open(folder / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, f"{json.dumps(line)}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
