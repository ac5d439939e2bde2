"""bdms quarantine: list, show, release, retry, accept."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import attrs
import cyclopts
from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive
from ctao_bdms.cli.onsite import Config, SiteChoice
from ctao_bdms.errors import UsageError
from ctao_bdms.model import DefectKind, Night
from ctao_bdms.quarantine import Case, Cases, OperatorAction, Quarantine, restore
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.cli.onsite import OnSite
    from ctao_bdms.ingest import IngestReport

__all__ = ["quarantine"]

Id = Annotated[str, Parameter(name="ID", help="The case, as listed by `bdms quarantine list`.")]
Ids = Annotated[list[str] | None, Parameter(name="ID", help="The cases, as listed by `bdms quarantine list`.")]
Why = Annotated[str, Parameter(name="--reason", help="Why, for the record.")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Held:
    """The options of a command for the quarantine.

    Attributes
    ----------
    config
        The settings of the daemon.
    folder
        The folder of the quarantine.
    rse
        The storage element.
    """

    config: Config = None
    folder: Annotated[
        Path | None,
        Parameter(name="--folder", help="The quarantine's folder; else that of `--config`, else next to the storage."),
    ] = None
    rse: Annotated[str, Parameter(name="--rse", help="The storage element; by default the only one on site.")] = ""

    def quarantine(self, archive: Archive) -> Quarantine:
        """Return the quarantine; connects to the archive only if neither folder nor settings are given."""
        if self.folder is not None:
            return Quarantine(self.folder.absolute())
        if self.config is None:
            return archive.connect().quarantine.at(self.rse)
        from ctao_bdms.daemon.config import settings_from

        return Quarantine(settings_from(self.config, os.environ).quarantine)

    def opened(self, archive: Archive) -> OnSite:
        """Connect to the archive, with this quarantine."""
        folder = None if self.folder is None else self.folder.absolute()
        return SiteChoice(config=self.config, rse=self.rse).opened(archive, quarantine=folder)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Many:
    """The options of a command to select many cases.

    Attributes
    ----------
    night
        Cases of this night.
    kind
        Cases with a defect of this kind.
    apply
        Apply the action instead of listing the cases.
    """

    night: Annotated[str, Parameter(help="All files of this night, the date of its evening.")] = ""
    kind: Annotated[DefectKind | None, Parameter(help="All files with a defect of this kind.")] = None
    apply: Annotated[
        bool,
        Parameter(negative="", help="Apply it to all files of `--night` and `--kind`; otherwise they are only listed."),
    ] = False

    def chosen(self, held: Quarantine, ids: list[str] | None) -> Cases:
        """Return the cases given by ID, or those selected by options.

        Raises
        ------
        UsageError
            If both or neither are given.
        """
        is_many = bool(self.night or self.kind)
        if is_many == bool(ids):
            raise UsageError("name cases by their ID, or many of them by --night and --kind")
        if ids:
            return Cases(held.case(case_id) for case_id in dict.fromkeys(ids))
        return held.cases().only(Night.parse(self.night) if self.night else None, self.kind)

    def is_foreseen(self, archive: Archive, cases: Cases, verb: str) -> bool:
        """List the cases and return True if they are only to be listed."""
        if self.apply or not (self.night or self.kind):
            return False
        _listed(archive, cases)
        archive.output.line(f"{len(cases)} files would be {verb}; --apply does it")
        return True


DEFAULT_HELD = Held()
DEFAULT_MANY = Many()

quarantine = cyclopts.App(name="quarantine", help="Files that were rejected by the archive, and actions on them.")


class Parts(Rows[dict[str, object]]):
    """The HDUs of a FITS file in quarantine, one row each."""

    columns: ClassVar[tuple[tuple[str, str], ...]] = tuple(
        (name.replace("_", " "), name)
        for name in ("index", "name", "offset", "header_bytes", "data_bytes", "datasum", "checksum")
    )

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield each HDU as a tuple of texts."""
        for part in self:
            yield tuple(str(part.get(key, "")) for _, key in self.columns)


@quarantine.command(name="list")
def list_(
    *,
    night: Annotated[str, Parameter(help="Only files of this night, the date of its evening.")] = "",
    reason: Annotated[DefectKind | None, Parameter(help="Only files with a defect of this kind.")] = None,
    held: Held = DEFAULT_HELD,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """List the files in quarantine, the oldest case first.

    Example: `bdms quarantine list --night 2026-11-21`
    """
    only = Night.parse(night) if night else None
    _listed(archive, held.quarantine(archive).cases().only(only, reason))
    return 0


@quarantine.command
def show(case_id: Id, /, *, held: Held = DEFAULT_HELD, archive: Archive = DEFAULT_ARCHIVE) -> int:
    """Show a case: reason, time, size and digests, and each part of the file.

    Example: `bdms quarantine show 20261121T221504Z-0a1b2c3d`
    """
    case, output = held.quarantine(archive).case(case_id), archive.output
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
    for action in case.reason.get("history", ()):
        output.line(f"history  {action['when']} {action['what']} by {action['who']}: {action['why']}")
    if case.reason.get("parts"):
        output.rows(Parts(case.reason["parts"]))
    return 0


@quarantine.command(name="release")
def release_(
    case_ids: Ids = None,
    /,
    *,
    reason: Why = "",
    without_trigger: Annotated[
        bool, Parameter(negative="", help="Make no trigger, so that no daemon ingests the file.")
    ] = False,
    many: Many = DEFAULT_MANY,
    held: Held = DEFAULT_HELD,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Move files back to their original place, with new triggers, for the daemon or the next ingest.

    Nothing is overwritten. Files selected by `--night` and `--kind` are only listed, unless `--apply` is given.

    Exit code 1 if a file stays in quarantine.

    Example: `bdms quarantine release --night 2026-11-21 --kind sidecar --reason "digests came late" --apply`
    """
    folder, output = held.quarantine(archive), archive.output
    cases = many.chosen(folder, case_ids)
    if many.is_foreseen(archive, cases, "released"):
        return 0
    action, code = OperatorAction.now("release", dt.datetime.now(dt.UTC), reason), 0
    for case in cases:
        try:
            path = restore(folder, case, action, with_trigger=not without_trigger)
        except UsageError as error:
            if case_ids is not None and len(case_ids) == 1:
                raise
            _left(archive, case, error)
            code = 1
            continue
        output.json({"released": path, "id": case.id})
        output.line(f"back at {path}")
    return code


@quarantine.command
def retry(
    case_ids: Ids = None,
    /,
    *,
    reason: Why = "",
    jobs: Annotated[int, Parameter(help="Number of files to read in parallel.")] = 2,
    many: Many = DEFAULT_MANY,
    held: Held = DEFAULT_HELD,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Move files back and ingest them again now, for example with newer software.

    Files selected by `--night` and `--kind` are only listed, unless `--apply` is given. With `--config`, the checks of
    the daemon's settings apply.

    Exit code 1 if a file is not registered.

    Example: `bdms quarantine retry 20261121T221504Z-0a1b2c3d`
    """
    meant, left = held.opened(archive), list[Case]()
    cases = many.chosen(meant.bdms.quarantine.at(meant.rse), case_ids)
    if many.is_foreseen(archive, cases, "ingested again"):
        return 0

    def leave(case: Case, error: UsageError) -> None:
        left.append(case)
        _left(archive, case, error)

    with archive.output.bytes_bar("reading", None) as advance:
        report = meant.bdms.quarantine.retry(
            cases,
            rse=meant.rse,
            why=reason,
            jobs=jobs,
            checks=meant.checks,
            sidecars=meant.sidecars,
            on_bytes=advance,
            on_left=None if case_ids is not None and len(case_ids) == 1 else leave,
        )
    return _told(archive, report) or bool(left)


@quarantine.command
def accept(
    case_id: Id,
    /,
    *,
    reason: Annotated[str, Parameter(name="--reason", help="Why it is accepted.")],
    held: Held = DEFAULT_HELD,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Register a file in spite of its defects, on your responsibility.

    The reason is recorded in the product's metadata, in the case, and in the quarantine's log. A file whose name is
    registered with other content can never be accepted.

    Example: `bdms quarantine accept 20261121T221504Z-0a1b2c3d --reason "the only copy of the burst"`
    """
    meant = held.opened(archive)
    case = meant.bdms.quarantine.at(meant.rse).case(case_id)
    report = meant.bdms.quarantine.accept(case, reason, rse=meant.rse, checks=meant.checks, sidecars=meant.sidecars)
    return _told(archive, report)


def _listed(archive: Archive, cases: Cases) -> None:
    """Print cases."""
    if not archive.output.as_json:
        archive.output.rows(cases)
        return
    for case in cases:
        archive.output.json({"id": case.id, **attrs.asdict(case, recurse=False)})


def _left(archive: Archive, case: Case, error: UsageError) -> None:
    """Print why a case is unchanged."""
    archive.output.json({"left": case.id, "why": str(error)})
    archive.output.line(f"left: {error}")


def _told(archive: Archive, report: IngestReport) -> int:
    """Print the status of files; return the exit code."""
    archive.output.rows(report)
    return 1 if report.rejected else 0
