"""The report of a night."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, ClassVar

from ctao_bdms.ingest.journal import Tally
from ctao_bdms.nights.gaps import gaps
from ctao_bdms.nights.values import NightFile, Stage, StreamTally
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ctao_bdms.model import Night, Site
    from ctao_bdms.nights.values import Lag

__all__ = ["NightFiles", "NightReport"]


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
    """What became of a night, one row a telescope and stream.

    Parameters
    ----------
    site, night
        The night.
    files
        All its files.
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
        """The numbers of all files together."""
        return StreamTally.of("all", "", self.files)

    @property
    def stages(self) -> Mapping[Stage, Tally]:
        """How many files are how far, and how much they are; all stages are named."""
        return {
            stage: sum((Tally(1, file.size_bytes or 0) for file in self.files if file.stage is stage), start=Tally())
            for stage in Stage
        }

    @property
    def open(self) -> NightFiles:
        """The files for which something is still to be done."""
        return NightFiles(file for file in self.files if file.is_open)

    @property
    def missing(self) -> NightFiles:
        """The files that were seen, or that a producer has spoken of, and that are nowhere."""
        return NightFiles(file for file in self.files if file.stage is Stage.MISSING)

    @property
    def quarantined(self) -> NightFiles:
        """The files in quarantine."""
        return NightFiles(file for file in self.files if file.stage is Stage.QUARANTINED)

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
