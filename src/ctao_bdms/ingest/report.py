"""What became of the files that were ingested."""

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
    """What became of one file."""

    #: It is in the archive now.
    REGISTERED = "registered"
    #: It was in the archive already, whole.
    KNOWN = "known"
    #: It was moved to quarantine.
    QUARANTINED = "quarantined"
    #: It stays where it is and is not in the archive.
    REFUSED = "refused"


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    path
        Where it lay.
    lfn
        Its name; None if it has none.
    status
        What became of it.
    facts
        What its bytes say; None if they were not read.
    defects
        Why it did not enter.
    warnings
        What is wrong with it too, but does not keep it out.
    block
        The block that it is in, if the archive holds it.
    case
        The folder in quarantine that it is in.
    is_replaced
        Whether the archive holds the file that was read, and another one lies there by now, or none. Its trigger
        stands.
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
        """Whether the archive holds the file now."""
        return self.status in {Status.REGISTERED, Status.KNOWN}

    @property
    def why(self) -> str:
        """Why it did not enter, in one line."""
        return "; ".join(map(str, self.defects))

    @property
    def file(self) -> str:
        """The name of the file, without its directory."""
        return self.path.name

    @property
    def directory(self) -> str:
        """The directory of its name; empty if it has no name."""
        return "" if self.lfn is None else str(self.lfn).rpartition("/")[0]

    @property
    def size_bytes(self) -> int | None:
        """The size in bytes; None if it was not read."""
        return None if self.facts is None else self.facts.size_bytes

    @property
    def adler32(self) -> str:
        """The Adler-32; empty if it was not read."""
        return "" if self.facts is None else self.facts.digests.get("adler32", "")


class IngestReport(Rows[Outcome]):
    """What became of the files that were ingested, one row a file."""

    columns: ClassVar[tuple[tuple[str, str], ...]] = (
        ("file", "file"),
        ("status", "status"),
        ("bytes", "size_bytes"),
        ("adler32", "adler32"),
        ("why", "defects"),
    )

    @property
    def archived(self) -> tuple[Outcome, ...]:
        """The files that the archive holds now."""
        return tuple(outcome for outcome in self if outcome.is_archived)

    @property
    def rejected(self) -> tuple[Outcome, ...]:
        """The files that it does not hold."""
        return tuple(outcome for outcome in self if not outcome.is_archived)
