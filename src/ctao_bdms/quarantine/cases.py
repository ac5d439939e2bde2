"""One case in quarantine: a file, its trigger, and the document that says why.

A case is a folder ``<UTC time>-<hash of the path>``. The hash finds the cases of a path without opening a document.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

from ctao_bdms.errors import UsageError
from ctao_bdms.model import Defect, DefectKind, Lfn, Night
from ctao_bdms.rows import Rows

__all__ = [
    "CASE_NAME",
    "REASON",
    "TRIGGER",
    "Case",
    "Cases",
    "case_token",
    "path_said",
    "path_text",
    "stored_name",
]

#: What the name of a case's folder is.
CASE_NAME = re.compile(r"\d{8}T\d{6}Z-(?P<token>[0-9a-f]{8})(?:-\d+)?", re.ASCII)
#: The names in a case that are ours.
REASON, TRIGGER = "reason.json", "trigger"
_RESERVED = {REASON, TRIGGER}
_LONGEST = 200


@attrs.frozen(kw_only=True)
class Case:
    """One case.

    Attributes
    ----------
    folder
        Its folder.
    path
        Where the file lay.
    trigger
        Where its trigger lay; None if it had none.
    lfn
        Its name in the archive; None if it cannot have one.
    defects
        Why it was put here.
    size_bytes, digests
        What its bytes are; none if they were not read.
    when
        When it was put here (aware).
    version
        The version of ctao-bdms that put it here.
    reason
        The whole document.
    """

    folder: Path
    path: Path
    trigger: Path | None
    lfn: Lfn | None
    defects: tuple[Defect, ...]
    size_bytes: int | None
    digests: Mapping[str, str]
    when: dt.datetime
    version: str
    reason: Mapping[str, Any] = attrs.field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Case:
        """Read the case in `folder`.

        Raises
        ------
        UsageError
            If there is no such case, or its document cannot be read.
        """
        try:
            reason = json.loads((folder / REASON).read_text(encoding="utf-8"))
            trigger, lfn = reason["trigger"], reason["lfn"]
            return cls(
                folder=folder,
                path=path_said(reason["path"], reason.get("path_bytes")),
                trigger=None if trigger is None else path_said(trigger, reason.get("trigger_bytes")),
                lfn=None if lfn is None else Lfn(lfn),
                defects=tuple(Defect(DefectKind(row["kind"]), str(row["message"])) for row in reason["defects"]),
                size_bytes=reason["size_bytes"],
                digests=reason["digests"],
                when=dt.datetime.fromisoformat(reason["when"]),
                version=str(reason["version"]),
                reason=reason,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{folder} is no case of a quarantine: {error}") from error

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def file(self) -> Path:
        """Where the file lies in the case."""
        return self.folder / stored_name(self.path)

    @property
    def kept_trigger(self) -> Path:
        """Where its trigger lies in the case, if it had one."""
        return self.folder / TRIGGER

    @property
    def name(self) -> str:
        """The file's name, as text that can be printed."""
        return path_text(Path(self.path.name))

    @property
    def night(self) -> str:
        """The night that the path says; empty if it says none."""
        match = re.search(r"/(\d{4})/(\d{2})/(\d{2})/[^/]*\Z", os.fspath(self.path), re.ASCII)
        return "" if match is None else "-".join(match.groups())

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its defects."""
        return tuple(dict.fromkeys(defect.kind.value for defect in self.defects))

    @property
    def since(self) -> str:
        """When it was put here, as text."""
        return f"{self.when.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}"


class Cases(Rows[Case]):
    """The cases in a quarantine, one row each."""

    columns: ClassVar = (
        ("id", "id"),
        ("file", "name"),
        ("reason", "kinds"),
        ("since (UTC)", "since"),
        ("bytes", "size_bytes"),
    )

    def only(self, night: Night | None = None, kind: DefectKind | None = None) -> Cases:
        """Return the cases of a night, with a defect of a kind; None stands for any."""
        return Cases(
            case
            for case in self
            if (night is None or case.night == str(night)) and (kind is None or kind.value in case.kinds)
        )


def case_token(path: Path) -> str:
    """Return the part of a case's name that says which path it is about."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]


def stored_name(path: Path) -> str:
    """Return the name that a file has in its case: its own, if it can be printed, is short, and is not one of ours."""
    text = os.fsencode(path.name).decode("ascii", "backslashreplace")
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}~{case_token(path)}"
    return f"_{text}" if text in _RESERVED or text.startswith((".", "_")) else text


def path_text(path: Path) -> str:
    """Return `path` as text that can be printed and written as UTF-8, whatever bytes it has."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def path_said(text: str, as_bytes: str | None) -> Path:
    """Return the path that a document names, from its bytes where the text does not say them."""
    return Path(text if as_bytes is None else os.fsdecode(bytes.fromhex(as_bytes)))
