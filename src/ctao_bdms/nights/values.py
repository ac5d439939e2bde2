"""Values of night reports."""

from __future__ import annotations

import bisect
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Lfn
from ctao_bdms.naming import AcadaPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Lag", "NightFile", "Span", "FileStage", "StreamTally"]


class FileStage(StrEnum):
    """How far a file of a night is on its way."""

    #: It lies on the storage, and neither the archive nor the quarantine has it.
    WAITING = "waiting"
    #: The archive has it, and copies are still to come.
    REGISTERED = "registered"
    #: Every centre that must keep it has a copy.
    REPLICATED = "replicated"
    #: It is in quarantine.
    QUARANTINED = "quarantined"
    #: Some record mentions it, and it is nowhere.
    MISSING = "missing"


@attrs.frozen(kw_only=True)
class NightFile:
    """One file of a night.

    Attributes
    ----------
    path
        Where it lies on site, or shall lie, or lay.
    lfn
        Its name in the archive; None if it cannot have one.
    stage
        How far it is.
    size_bytes
        Its size; None if nobody knows it.
    centres
        The centres that have a copy.
    reasons
        What is still to be done, what is wrong; for a file in quarantine, why it is there.
    has_trigger
        Whether its trigger stands.
    """

    path: Path
    lfn: Lfn | None
    stage: FileStage
    size_bytes: int | None
    centres: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    has_trigger: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it exists and still waits for something before it is replicated."""
        return self.stage not in {FileStage.QUARANTINED, FileStage.MISSING} and bool(self.reasons)

    @property
    def is_archived(self) -> bool:
        """Whether the archive has it."""
        return self.stage in {FileStage.REGISTERED, FileStage.REPLICATED}

    @property
    def file(self) -> str:
        """The name of the file, without its directory."""
        return self.path.name

    @property
    def place(self) -> AcadaPath | None:
        """Its parsed name; None if that does not follow ACADA's grammar."""
        try:
            return None if self.lfn is None else AcadaPath.parse(self.lfn)
        except InvalidNameError:
            return None


@attrs.frozen(kw_only=True)
class StreamTally:
    """Numbers of files of one telescope and stream, by stage.

    Attributes
    ----------
    telescope
        The array element, or ``ARRAY``; empty for files whose names say none.
    stream
        What the files hold.
    found
        All files that are known of.
    size_bytes
        Their size together, as far as it is known.
    registered, replicated
        Files that the archive has, and those of them that every centre has.
    quarantined, open, missing
        Files in quarantine, those for which something is still to be done, and those that are nowhere.
    """

    telescope: str
    stream: str
    found: int
    size_bytes: int
    registered: int
    replicated: int
    quarantined: int
    open: int
    missing: int

    @classmethod
    def of(cls, telescope: str, stream: str, files: Iterable[NightFile]) -> StreamTally:
        """Count files."""
        files = list(files)
        return cls(
            telescope=telescope,
            stream=stream,
            found=len(files),
            size_bytes=sum(file.size_bytes or 0 for file in files),
            registered=sum(file.is_archived for file in files),
            replicated=sum(file.stage is FileStage.REPLICATED for file in files),
            quarantined=sum(file.stage is FileStage.QUARANTINED for file in files),
            open=sum(file.is_open for file in files),
            missing=sum(file.stage is FileStage.MISSING for file in files),
        )


#: Where the spans of a distribution end, in seconds: for people, from a second to a month.
_ENDS_S = (1, 10, 30, 60, 300, 900, 3600, 4 * 3600, 86_400, 7 * 86_400, 30 * 86_400)


@attrs.frozen
class Span:
    """A bin of a lag distribution.

    Attributes
    ----------
    end_s
        The longest time of the span, in seconds; infinite for the last one.
    files
        How many files.
    """

    end_s: float
    files: int

    @property
    def label(self) -> str:
        """The bin as text."""
        for unit_s, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
            if math.isinf(self.end_s):
                return f"over {_ENDS_S[-1] // 86_400} d"
            if self.end_s >= unit_s:
                return f"up to {self.end_s / unit_s:g} {unit}"
        return f"up to {self.end_s:g} s"


@attrs.frozen(kw_only=True)
class Lag:
    """Lag of a step over files.

    Attributes
    ----------
    files
        How many files have taken it.
    p50_s, p95_s, max_s
        The time that half of them, 95 of 100, and all of them took at most, in seconds.
    spans
        How many took how long, from the first span to the last that any file falls into.
    """

    files: int
    p50_s: float
    p95_s: float
    max_s: float
    spans: tuple[Span, ...] = attrs.field(default=(), eq=False)

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Lag | None:
        """Return the lag of single files' times; None if there are none."""
        ordered = sorted(seconds)
        if not ordered:
            return None

        def least(share: float) -> float:
            return ordered[math.ceil(share * len(ordered)) - 1]

        return cls(
            files=len(ordered), p50_s=least(0.5), p95_s=least(0.95), max_s=ordered[-1], spans=tuple(_spans(ordered))
        )


def _spans(ordered: Sequence[float]) -> Iterator[Span]:
    """Yield the distribution of sorted times."""
    below = 0
    for end_s in (*_ENDS_S, math.inf):
        upto = bisect.bisect_right(ordered, end_s)
        if below < len(ordered):
            yield Span(end_s, upto - below)
        below = upto
