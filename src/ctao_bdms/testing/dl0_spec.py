"""Specify DL0 files: one, or those of a night."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

import attrs

from ctao_bdms.errors import UsageError
from ctao_bdms.model import ArrayElement, Lfn, Night
from ctao_bdms.naming import AcadaName, AcadaPath

__all__ = ["Dl0Kind", "Dl0Spec", "night_specs"]

_CHUNK_S = 6
_BLOCK_MINUTES = 20
_BLOCKS_PER_NIGHT = 24
_MAX_CHUNKS_PER_BLOCK = _BLOCK_MINUTES * 60 // _CHUNK_S
_CREATOR = 2_000_000_000  # ACADA at CTAO-North
_EPOCH = dt.date(2020, 1, 1)


class Dl0Kind(StrEnum):
    """The three event streams of the data acquisition."""

    TELESCOPE = "Telescope"
    SUBARRAY = "Subarray"
    TRIGGER = "Trigger"


@attrs.frozen(kw_only=True)
class Dl0Spec:
    """The specification of one file.

    Attributes
    ----------
    kind
        Its stream.
    ae_id
        The number of the telescope; for the streams of the array, that of the subarray.
    night
        The observing night, which is the name of the folder.
    start
        The begin of its data (aware, whole seconds), which is the time stamp in the name.
    obs_id, sb_id
        Observation block and scheduling block.
    chunk
        Its number in the stream.
    events
        The number of events (or triggers).
    seed
        The seed of the random content.
    pixels, samples
        The size of the camera image, for telescopes.
    subarray_id
        The subarray of the data.
    vo, scope
        The first two components of its path.
    """

    kind: Dl0Kind
    ae_id: int
    night: Night
    start: dt.datetime
    obs_id: int
    sb_id: int
    chunk: int = 0
    events: int = 10
    seed: int = 0
    pixels: int = 1855
    samples: int = 40
    subarray_id: int = 1
    vo: str = "ctao"
    scope: str = "acada"

    @property
    def stop(self) -> dt.datetime:
        """The end of its data."""
        return self.start + dt.timedelta(seconds=_CHUNK_S)

    @property
    def name(self) -> AcadaName:
        """The file name."""
        telescope = self.kind is Dl0Kind.TELESCOPE
        words = {Dl0Kind.TELESCOPE: ("TEL", "SHOWER"), Dl0Kind.SUBARRAY: ("SUBARRAY", ""), Dl0Kind.TRIGGER: ("TEL", "")}
        return AcadaName(
            owner="TEL" if telescope else "SUB",
            owner_id=self.ae_id if telescope else self.subarray_id,
            source=f"SDH{self.ae_id:04d}" if telescope else "SWAT000",
            start=self.start,
            sb=f"{self.sb_id:010d}",
            obs=f"{self.obs_id:010d}",
            type=words[self.kind][0],
            subtype=words[self.kind][1],
            counter="CHUNK",
            count=f"{self.chunk:03d}",
        )

    @property
    def lfn(self) -> Lfn:
        """The path below the storage root, which is its logical file name."""
        return AcadaPath(
            vo=self.vo,
            scope=self.scope,
            element=ArrayElement(self.ae_id).name if self.kind is Dl0Kind.TELESCOPE else "ARRAY",
            user="ctao-n-acada",
            kind="triggers" if self.kind is Dl0Kind.TRIGGER else "events",
            night=self.night,
            name=self.name,
        ).lfn


def night_specs(
    n_files: int,
    *,
    telescopes: int = 3,
    megabytes: float = 2.0,
    seed: int = 0,
    night: Night | None = None,
    vo: str = "ctao",
    scope: str = "acada",
) -> list[Dl0Spec]:
    """Plan a night at CTAO-North: telescope streams, the subarray's events, and the triggers.

    The files are assigned to the streams in turn. Every few chunks begin a new observation block of 20 minutes; all
    are in one scheduling block. Names depend on the night only, the content also on the seed. The specs are ordered by
    the begin of the files.

    Parameters
    ----------
    telescopes
        The number of telescopes, LSTN-01 first (1 to 19).
    megabytes
        The approximate size of a telescope file, MB (10**6 bytes), which determines its number of events. Files of the
        array have as many events, which are small.
    night
        The night; 21 November 2026 if None.
    vo, scope
        The first two components of the paths.

    Raises
    ------
    UsageError
        If there are too many files for a night, or too many telescopes for the site.
    """
    streams, per_block = _streams(n_files, telescopes)
    night = night or Night(dt.date(2026, 11, 21))
    dusk = dt.datetime.combine(night.date, dt.time(21), dt.UTC)
    first_id = _CREATOR + 100 * (night.date - _EPOCH).days
    template = Dl0Spec(
        kind=Dl0Kind.TELESCOPE,
        ae_id=1,
        night=night,
        start=dusk,
        obs_id=0,
        sb_id=first_id,
        seed=seed,
        vo=vo,
        scope=scope,
    )
    events = max(1, round(megabytes * 1e6 / (2 * template.pixels * template.samples)))

    def spec(index: int) -> Dl0Spec:
        kind, number = streams[index % len(streams)]
        block, chunk = divmod(index // len(streams), per_block)
        start = dusk + dt.timedelta(minutes=_BLOCK_MINUTES * block, seconds=_CHUNK_S * chunk)
        return attrs.evolve(
            template, kind=kind, ae_id=number, start=start, obs_id=first_id + block, chunk=chunk, events=events
        )

    return [spec(index) for index in range(n_files)]


def _streams(n_files: int, telescopes: int) -> tuple[list[tuple[Dl0Kind, int]], int]:
    """Return kind and array element of each stream, and the chunks that a stream has in an observation block."""
    if not 1 <= telescopes <= 19:
        msg = f"{telescopes} telescopes cannot observe at CTAO-North, which has 1 to 19"
        raise UsageError(msg)
    streams = [(Dl0Kind.TELESCOPE, number) for number in range(1, telescopes + 1)]
    streams += [(Dl0Kind.SUBARRAY, 1), (Dl0Kind.TRIGGER, 1)]
    chunks = -(-n_files // len(streams))
    per_block = max(3, -(-chunks // _BLOCKS_PER_NIGHT))
    if per_block > _MAX_CHUNKS_PER_BLOCK or n_files < 0:
        most = _MAX_CHUNKS_PER_BLOCK * _BLOCKS_PER_NIGHT * len(streams)
        msg = f"{n_files} files do not fit into a night of {telescopes} telescopes, which has 0 to {most}"
        raise UsageError(msg)
    return streams, per_block
