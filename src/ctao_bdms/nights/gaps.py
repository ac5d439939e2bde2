"""Numbers that streams leave out: files that were perhaps written, and that nobody has seen."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctao_bdms.naming import AcadaPath

__all__ = ["Gap", "gaps"]


@attrs.frozen(kw_only=True)
class Gap:
    """Numbers that one stream of one observation leaves out.

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
        """How many files that would be."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        numbers = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        observation = "" if self.obs_id is None else f", observation {self.obs_id}"
        return f"{self.telescope} {self.source}{observation}: no chunk {numbers}, and {self.known} others are known"


def gaps(paths: Iterable[AcadaPath]) -> list[Gap]:
    """Return the chunk numbers that streams leave out below their highest.

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
