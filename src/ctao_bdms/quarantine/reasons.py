"""The reason document of a quarantine case: the file, its defects, and the time."""

from __future__ import annotations

import datetime as dt
import json
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from ctao_bdms.quarantine.cases import REASON, path_text

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.inbox import LocalFile
    from ctao_bdms.model import Defect, FileFacts, HduFacts

__all__ = ["Examined", "Rejected", "is_stamped", "named", "reason", "reason_of", "stamp_of"]


class Examined(Protocol):
    """A file with the facts that were read from it."""

    @property
    def file(self) -> LocalFile:
        """The file."""
        ...

    @property
    def facts(self) -> FileFacts | None:
        """Its facts; None if it was not read."""
        ...


class Rejected(Protocol):
    """A file that is rejected, with its defects."""

    @property
    def item(self) -> Examined:
        """The file."""
        ...

    @property
    def defects(self) -> tuple[Defect, ...]:
        """The reasons for the rejection."""
        ...


def stamp_of(path: Path) -> dict[str, int]:
    """Return a stamp for the document, which changes when the file is replaced."""
    status = path.lstat()
    return {
        "inode": status.st_ino,
        "size_bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
    }


def is_stamped(path: Path, stamp: object) -> bool:
    """Whether a file has the stamp in a document; older documents have fewer keys."""
    return isinstance(stamp, dict) and bool(stamp) and stamp.items() <= stamp_of(path).items()


def reason_of(case: Path) -> dict[str, Any]:
    """Return the document of a case; empty if a crash left none."""
    try:
        document = json.loads((case / REASON).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def named(key: str, path: Path | None) -> dict[str, object]:
    """Return a path for a document: as text, and as bytes if the text is lossy."""
    if path is None:
        return {key: None}
    text = path_text(path)
    return {key: text} if text == os.fspath(path) else {key: text, f"{key}_bytes": os.fsencode(path).hex()}


def reason(reject: Rejected, stamp: dict[str, int], now: dt.datetime) -> dict[str, object]:
    """Return the reason document of a rejected file."""
    file, facts = reject.item.file, reject.item.facts
    has_trigger = file.trigger is not None and os.path.lexists(file.trigger)
    return {
        **named("path", file.path),
        "lfn": None if file.lfn is None else str(file.lfn),
        **named("trigger", file.trigger),
        "defects": [{"kind": defect.kind.value, "message": defect.message} for defect in reject.defects],
        "size_bytes": None if facts is None else facts.size_bytes,
        "digests": {} if facts is None else dict(facts.digests),
        "parts": [] if facts is None else [_part(hdu) for hdu in facts.hdus],
        "stamp": stamp,
        "trigger_stamp": stamp_of(file.trigger) if file.trigger is not None and has_trigger else None,
        "when": now.astimezone(dt.UTC).isoformat(timespec="seconds"),
        "version": version("ctao-bdms"),
        "history": [],
    }


def _part(hdu: HduFacts) -> dict[str, object]:
    return {
        "index": hdu.index,
        "name": hdu.name,
        "offset": hdu.offset,
        "header_bytes": hdu.header_bytes,
        "data_bytes": hdu.data_bytes,
        "datasum": hdu.datasum.value,
        "checksum": hdu.checksum.value,
    }
