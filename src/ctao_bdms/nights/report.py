"""Night reports, with the gaps in the chunk numbers of streams."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.journal import Tally
from ctao_bdms.nights.values import FileStage, NightFile, StreamTally
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ctao_bdms.model import Night, Site
    from ctao_bdms.naming import AcadaPath
    from ctao_bdms.nights.values import Lag

__all__ = ["Gap", "NightFiles", "NightReport", "gaps"]


@attrs.frozen(kw_only=True)
class Gap:
    """A gap in the chunk numbers of one stream of one observation.

    Attributes
    ----------
    telescope, source
        The array element, or ``ARRAY``, and the stream as the names say it.
    obs_id
        The observation block; None if the names say none.
    first, last
        The numbers that are left out: all from `first` to `last`.
    known
        How many files of the stream are known.
    """

    telescope: str
    source: str
    obs_id: int | None
    first: int
    last: int
    known: int

    @property
    def files(self) -> int:
        """The number of missing chunks."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        numbers = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        observation = "" if self.obs_id is None else f", observation {self.obs_id}"
        return f"{self.telescope} {self.source}{observation}: no chunk {numbers}, and {self.known} others are known"


def gaps(paths: Iterable[AcadaPath]) -> list[Gap]:
    """Return the gaps of streams below their highest chunk number.

    Streams begin with 0 or 1. What comes after the last chunk that is known cannot be missed by its number.

    Parameters
    ----------
    paths
        What the names of all known files of a night say.
    """
    streams: dict[tuple[str, str, int | None], set[int]] = defaultdict(set)
    for path in paths:
        name = path.name
        if name.chunk_id is not None:
            source = "_".join(filter(None, (f"{name.owner}{name.owner_id:03d}", name.source, name.type, name.subtype)))
            streams[path.element, source, name.obs_id].add(name.chunk_id)
    found = []
    for (element, source, obs_id), numbers in sorted(streams.items(), key=str):
        start = min(*numbers, 1) - 1
        found += [
            Gap(telescope=element, source=source, obs_id=obs_id, first=low + 1, last=high - 1, known=len(numbers))
            for low, high in itertools.pairwise([start, *sorted(numbers)])
            if high - low > 1
        ]
    return found


class NightFiles(Rows[NightFile]):
    """Files of a night, one row each."""

    columns: ClassVar = (
        ("file", "file"),
        ("stage", "stage"),
        ("bytes", "size_bytes"),
        ("copies at", "centres"),
        ("why", "reasons"),
    )


class NightReport(Rows[StreamTally]):
    """The report of a night, one row a telescope and stream.

    Parameters
    ----------
    centres
        The centres that shall have copies.
    lags
        How long the steps took, by step; empty without a journal.
    """

    columns: ClassVar = (
        ("telescope", "telescope"),
        ("stream", "stream"),
        ("found", "found"),
        ("bytes", "size_bytes"),
        ("registered", "registered"),
        ("replicated", "replicated"),
        ("quarantined", "quarantined"),
        ("open", "open"),
        ("missing", "missing"),
    )

    def __init__(
        self,
        site: Site,
        night: Night,
        files: Iterable[NightFile],
        centres: tuple[str, ...],
        lags: Mapping[str, Lag] | None = None,
    ) -> None:
        self.site = site
        self.night = night
        self.files = NightFiles(sorted(files, key=lambda file: (file.path, file.stage)))
        self.centres = centres
        self.lags = dict(lags or {})
        places = {file: place for file in self.files if (place := file.place) is not None}
        self.gaps = tuple(gaps(places.values()))
        streams: dict[tuple[str, str], list[NightFile]] = defaultdict(list)
        for file in self.files:
            place = places.get(file)
            key = ("", "other") if place is None else (place.element, place.name.stream.value)
            streams[key].append(file)
        super().__init__(StreamTally.of(*key, of) for key, of in sorted(streams.items()))

    @property
    def total(self) -> StreamTally:
        """The totals of all files."""
        return StreamTally.of("all", "", self.files)

    @property
    def stages(self) -> Mapping[FileStage, Tally]:
        """Number and size of files by stage; all stages are listed."""
        return {
            stage: sum((Tally(1, file.size_bytes or 0) for file in self.files if file.stage is stage), start=Tally())
            for stage in FileStage
        }

    @property
    def open(self) -> NightFiles:
        """The files that still wait for something."""
        return NightFiles(file for file in self.files if file.is_open)

    @property
    def missing(self) -> NightFiles:
        """The files that are known, and are nowhere."""
        return NightFiles(file for file in self.files if file.stage is FileStage.MISSING)

    @property
    def quarantined(self) -> NightFiles:
        """The files in quarantine."""
        return NightFiles(file for file in self.files if file.stage is FileStage.QUARANTINED)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is open, missing, or perhaps missing; what is in quarantine is accounted for."""
        return not (self.open or self.missing or self.gaps)

    @property
    def verdict(self) -> str:
        """The report in one sentence."""
        if not self.files:
            return f"Of the night {self.night} at {self.site} nothing is known."
        total = self.total
        parts = [
            f"{total.found} found",
            f"{total.registered} registered",
            f"{total.replicated} replicated at {len(self.centres)} centres ({', '.join(self.centres)})",
            f"{total.quarantined} quarantined",
            f"{total.open} open",
            f"{total.missing} missing",
        ]
        perhaps = sum(gap.files for gap in self.gaps)
        parts += [f"{perhaps} perhaps missing"] if perhaps else []
        return f"{'Complete' if self.is_complete else 'Not complete'}: {', '.join(parts)}."

    def unfinished(self) -> Iterator[NightFile]:
        """Yield what is not complete, in the order of its places: open, missing, or in quarantine."""
        yield from (file for file in self.files if file.reasons)
