"""bdms quarantine: list, show, release, retry, accept."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import attrs
import cyclopts
from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.ingest import Cases, Deed, Quarantine, release
from ctao_bdms.model import DefectKind, Night
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.ingest import IngestReport

__all__ = ["quarantine"]

Id = Annotated[str, Parameter(name="ID", help="The case, as `bdms quarantine list` says it.")]
Why = Annotated[str, Parameter(name="--reason", help="Why, for the record.")]
Where = Annotated[str, Parameter(name="--rse", help="The storage element; by default the only one on site.")]
Folder = Annotated[
    Path | None, Parameter(name="--folder", help="The quarantine's folder; by default beside the storage element.")
]

quarantine = cyclopts.App(name="quarantine", help="Files that may not enter the archive, and what to do with them.")


class Parts(Rows[dict[str, object]]):
    """The parts of a FITS file in quarantine, one row each."""

    columns: ClassVar[tuple[tuple[str, str], ...]] = tuple(
        (name.replace("_", " "), name)
        for name in ("index", "name", "offset", "header_bytes", "data_bytes", "datasum", "checksum")
    )

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield each part as text."""
        for part in self:
            yield tuple(str(part.get(key, "")) for _, key in self.columns)


@quarantine.command(name="list")
def list_(
    *,
    night: Annotated[str, Parameter(help="Only files of this night, the date of its evening.")] = "",
    reason: Annotated[DefectKind | None, Parameter(help="Only files with a defect of this kind.")] = None,
    rse: Where = "",
    folder: Folder = None,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """List the files in quarantine, the oldest case first.

    Example: `bdms quarantine list --night 2026-11-21`
    """
    only = str(Night.parse(night)) if night else ""
    cases = Cases(
        case
        for case in _quarantine(archive, rse, folder).cases()
        if only in {"", case.night} and (reason is None or reason.value in case.kinds)
    )
    output = archive.output
    if output.as_json:
        for case in cases:
            output.json({"id": case.id, **attrs.asdict(case, recurse=False)})
    else:
        output.rows(cases)
    return 0


@quarantine.command
def show(case_id: Id, /, *, rse: Where = "", folder: Folder = None, archive: Archive = DEFAULT_ARCHIVE) -> int:
    """Show all that is known of a case: why, when, what its bytes are, and each part of the file.

    Example: `bdms quarantine show 20261121T221504Z-0a1b2c3d`
    """
    case, output = _quarantine(archive, rse, folder).case(case_id), archive.output
    if output.as_json:
        output.json({"id": case.id, "file": case.file, **case.reason})
        return 0
    output.line(f"{case.id}  since {case.since} UTC, by ctao-bdms {case.version}")
    output.line(f"file     {case.file}")
    output.line(f"from     {case.reason['path']}")
    output.line(f"trigger  {case.reason['trigger'] or 'none'}")
    output.line(f"bytes    {'not read' if case.size_bytes is None else case.size_bytes}")
    for algorithm, digest in case.digests.items():
        output.line(f"{algorithm:<8} {digest}")
    for defect in case.defects:
        output.line(f"defect   {defect}")
    for deed in case.reason.get("history", ()):
        output.line(f"history  {deed['when']} {deed['what']} by {deed['who']}: {deed['why']}")
    if case.reason.get("parts"):
        output.rows(Parts(case.reason["parts"]))
    return 0


@quarantine.command(name="release")
def release_(
    case_id: Id,
    /,
    *,
    reason: Why = "",
    without_trigger: Annotated[bool, Parameter(negative="", help="Make no trigger: no daemon takes the file.")] = False,
    rse: Where = "",
    folder: Folder = None,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Put a file back to where it came from, with a new trigger, for the daemon or the next ingest.

    Nothing is overwritten.

    Example: `bdms quarantine release 20261121T221504Z-0a1b2c3d --reason "the disk was repaired"`
    """
    held = _quarantine(archive, rse, folder)
    deed = Deed.now("release", dt.datetime.now(dt.UTC), reason)
    path = release(held, held.case(case_id), deed, with_trigger=not without_trigger)
    archive.output.json({"released": path})
    archive.output.line(f"back at {path}")
    return 0


@quarantine.command
def retry(case_id: Id, /, *, reason: Why = "", rse: Where = "", archive: Archive = DEFAULT_ARCHIVE) -> int:
    """Put a file back and ingest it again now, for example with newer software.

    Example: `bdms quarantine retry 20261121T221504Z-0a1b2c3d`
    """
    bdms = archive.connect()
    return _told(archive, bdms.retry(bdms.quarantine(rse).case(case_id), rse=rse, why=reason))


@quarantine.command
def accept(
    case_id: Id,
    /,
    *,
    reason: Annotated[str, Parameter(name="--reason", help="Why it shall enter all the same.")],
    rse: Where = "",
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Let a file enter the archive in spite of its defects, on your word.

    The word stands in the product's metadata, in the case, and in the quarantine's log. Other content under the same
    name can never be accepted.

    Example: `bdms quarantine accept 20261121T221504Z-0a1b2c3d --reason "the only copy of the burst"`
    """
    bdms = archive.connect()
    return _told(archive, bdms.accept(bdms.quarantine(rse).case(case_id), reason, rse=rse))


def _quarantine(archive: Archive, rse: str, folder: Path | None) -> Quarantine:
    """Return the quarantine that a command means; a folder needs no archive."""
    return archive.connect().quarantine(rse) if folder is None else Quarantine(folder.absolute())


def _told(archive: Archive, report: IngestReport) -> int:
    """Print what became of a file; return the exit code."""
    archive.output.rows(report)
    return 1 if report.rejected else 0
