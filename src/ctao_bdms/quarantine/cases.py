"""A quarantine case: a file, its trigger, and the document with the reason.

A case is a folder ``<UTC time>-<hash of the path>``. The hash finds the cases of a path without reading documents.
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

#: Pattern of the folder names of cases.
CASE_NAME = re.compile(r"\d{8}T\d{6}Z-(?P<token>[0-9a-f]{8})(?:-\d+)?", re.ASCII)
#: Reserved file names in a case.
REASON, TRIGGER = "reason.json", "trigger"
_RESERVED = {REASON, TRIGGER}
_LONGEST = 200


@attrs.frozen(kw_only=True)
class Case:
    """One case.

    Attributes
    ----------
    folder
        The folder of the case.
    path, trigger
        Paths of the file and its trigger in the inbox; None if it had no trigger.
    lfn
        Logical file name; None if the file name is invalid.
    defects
        The reasons for the quarantine.
    size_bytes, digests
        Size and digests of the file; None and empty if it was not read.
    when
        Time of the quarantine (aware).
    version
        Version of ctao-bdms that made the case.
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
            If there is no such case, or its document is unreadable.
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
        """The case ID, the name of its folder."""
        return self.folder.name

    @property
    def file(self) -> Path:
        """Path of the file in the case."""
        return self.folder / stored_name(self.path)

    @property
    def kept_trigger(self) -> Path:
        """Path of the trigger in the case, if it had one."""
        return self.folder / TRIGGER

    @property
    def name(self) -> str:
        """The file name as printable text."""
        return path_text(Path(self.path.name))

    @property
    def night(self) -> str:
        """The night by the path; empty if the path has none."""
        match = re.search(r"/(\d{4})/(\d{2})/(\d{2})/[^/]*\Z", os.fspath(self.path), re.ASCII)
        return "" if match is None else "-".join(match.groups())

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its defects."""
        return tuple(dict.fromkeys(defect.kind.value for defect in self.defects))

    @property
    def since(self) -> str:
        """Time of the quarantine as text."""
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
    """Return the hash of a path in the ID of its cases."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]


def stored_name(path: Path) -> str:
    """Return the name of a file in its case: its own, if short and printable."""
    text = os.fsencode(path.name).decode("ascii", "backslashreplace")
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}~{case_token(path)}"
    return f"_{text}" if text in _RESERVED or text.startswith((".", "_")) else text


def path_text(path: Path) -> str:
    """Return `path` as printable UTF-8 text, for any bytes in it."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def path_said(text: str, as_bytes: str | None) -> Path:
    """Return a path of a document, from its bytes if the text does not preserve them."""
    return Path(text if as_bytes is None else os.fsdecode(bytes.fromhex(as_bytes)))
