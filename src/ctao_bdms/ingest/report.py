"""The outcomes of an ingest."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.model import Defect, Did, FileFacts, Lfn
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from ctao_bdms.ingest.describe import Described

__all__ = ["IngestReport", "Outcome", "Status"]


class Status(StrEnum):
    """The status of one file after an ingest."""

    #: The file was registered in the archive.
    REGISTERED = "registered"
    #: The file was in the archive already, complete.
    KNOWN = "known"
    #: The file was moved to quarantine.
    QUARANTINED = "quarantined"
    #: The file stays where it is and is not in the archive.
    REFUSED = "refused"


@attrs.frozen(kw_only=True)
class Outcome:
    """The outcome of one file.

    Attributes
    ----------
    path
        Its path in the inbox.
    lfn
        Its logical file name; None if the file name is invalid.
    facts
        The facts of its content; None if it was not read.
    defects
        The reasons for the rejection.
    warnings
        Failed checks that were no reason for a rejection.
    block
        The block of the file, if it is archived.
    case
        The quarantine case of the file.
    is_replaced
        Whether the file was replaced or removed after it was read and archived. Its trigger stays.
    """

    path: Path
    lfn: Lfn | None
    status: Status
    facts: FileFacts | None = attrs.field(repr=False)
    defects: tuple[Defect, ...] = ()
    warnings: tuple[Defect, ...] = ()
    block: Did | None = None
    case: Path | None = None
    is_replaced: bool = False

    @classmethod
    def of(
        cls,
        item: Described,
        status: Status,
        *,
        defects: tuple[Defect, ...] = (),
        block: Did | None = None,
        case: Path | None = None,
        is_replaced: bool = False,
    ) -> Outcome:
        """Return the outcome of a described file."""
        return cls(
            path=item.file.path,
            lfn=item.file.lfn,
            status=status,
            facts=item.facts,
            defects=defects,
            warnings=item.warnings,
            block=block,
            case=case,
            is_replaced=is_replaced,
        )

    @property
    def is_archived(self) -> bool:
        """Whether the file is in the archive."""
        return self.status in {Status.REGISTERED, Status.KNOWN}

    @property
    def why(self) -> str:
        """The defects in one line."""
        return "; ".join(map(str, self.defects))

    @property
    def file(self) -> str:
        """The file name without directory."""
        return self.path.name

    @property
    def directory(self) -> str:
        """The directory of the logical file name; empty if there is none."""
        return "" if self.lfn is None else str(self.lfn).rpartition("/")[0]

    @property
    def size_bytes(self) -> int | None:
        """The size in bytes; None if the file was not read."""
        return None if self.facts is None else self.facts.size_bytes

    @property
    def adler32(self) -> str:
        """The Adler-32; empty if the file was not read."""
        return "" if self.facts is None else self.facts.digests.get("adler32", "")


class IngestReport(Rows[Outcome]):
    """The outcomes of an ingest, one row a file."""

    columns: ClassVar[tuple[tuple[str, str], ...]] = (
        ("file", "file"),
        ("status", "status"),
        ("bytes", "size_bytes"),
        ("adler32", "adler32"),
        ("why", "defects"),
    )

    @property
    def archived(self) -> tuple[Outcome, ...]:
        """The files that are in the archive."""
        return tuple(outcome for outcome in self if outcome.is_archived)

    @property
    def rejected(self) -> tuple[Outcome, ...]:
        """The files that are not in the archive."""
        return tuple(outcome for outcome in self if not outcome.is_archived)
