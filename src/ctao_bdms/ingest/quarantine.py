"""Where a file goes that may not enter the archive, with the reason beside it.

Each case is a folder of its own, ``<quarantine>/<UTC time>-<token>/``, with the file and ``reason.json``: nothing is
ever overwritten, nothing deleted. The quarantine lies outside the storage namespace, on the same file system.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import UsageError

if TYPE_CHECKING:
    from ctao_bdms.ingest.plan import Reject

__all__ = ["Quarantine"]


@attrs.frozen
class Quarantine:
    """The quarantine of one storage root.

    Attributes
    ----------
    folder
        Where the cases are.
    """

    folder: Path

    @classmethod
    def beside(cls, root: Path) -> Quarantine:
        """Return the quarantine beside a storage root: ``<root>.quarantine``."""
        return cls(root.with_name(root.name + ".quarantine"))

    def admit(self, reject: Reject, now: dt.datetime) -> Path:
        """Move the file of `reject`, and its trigger, into a new case; return the case's folder.

        The reason is written first. A crash in between leaves the file where it was, to be rejected again.

        Raises
        ------
        UsageError
            If the quarantine is not on the file system of the storage: a file is moved whole or not at all.
        """
        self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = reject.item.file
        if file.path.parent.stat().st_dev != self.folder.stat().st_dev:
            raise UsageError(f"the quarantine {self.folder} must be on the file system of {file.path.parent}")
        case = self.folder / f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        case.mkdir(mode=0o750)
        _write_durably(case / "reason.json", json.dumps(_reason(reject, now), indent=2) + "\n")
        file.path.rename(case / os.fsencode(file.path.name).decode("ascii", "backslashreplace"))
        if file.trigger is not None and os.path.lexists(file.trigger):
            file.trigger.unlink()
        return case


def _reason(reject: Reject, now: dt.datetime) -> dict[str, object]:
    """Return the reason document: what, why, when, and what the bytes were."""
    file, facts = reject.item.file, reject.item.facts
    return {
        "path": str(file.path).encode("utf-8", "backslashreplace").decode(),
        "lfn": None if file.lfn is None else str(file.lfn),
        "trigger": None if file.trigger is None else str(file.trigger).encode("utf-8", "backslashreplace").decode(),
        "defects": [{"kind": defect.kind.value, "message": defect.message} for defect in reject.defects],
        "size_bytes": None if facts is None else facts.size_bytes,
        "digests": {} if facts is None else dict(facts.digests),
        "when": now.astimezone(dt.UTC).isoformat(timespec="seconds"),
        "version": version("ctao-bdms"),
    }


def _write_durably(path: Path, text: str) -> None:
    """Write `text` so that it is on the disk when this returns."""
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
