"""One file beside another reader: where the two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import SumStatus
from tests.differential.views import View

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["Difference", "differences"]

_HEADER_BYTES = 200


@attrs.frozen(kw_only=True)
class Difference:
    """One thing in which our reader and another differ.

    Attributes
    ----------
    reader
        The other one: cfitsio or astropy.
    aspect
        ``place``, ``datasum`` or ``checksum`` of a part that both saw; ``end``: only one of them failed behind
        the parts that both saw; ``fewer`` or ``more``: the other one saw less or more parts than we did.
    index
        The part.
    content
        The file.
    ours, theirs
        The two views.
    """

    reader: str
    aspect: str
    index: int
    content: bytes = attrs.field(repr=False)
    ours: View = attrs.field(repr=False)
    theirs: View = attrs.field(repr=False)

    @property
    def header(self) -> bytes:
        """The header of the part, as far as we have seen it."""
        if self.index < len(self.ours.parts):
            part = self.ours.parts[self.index]
            return self.content[part.offset : part.offset + part.header_bytes]
        return self.content[self.rest :]

    @property
    def rest(self) -> int:
        """Where the part begins."""
        if self.index < len(self.ours.parts):
            return self.ours.parts[self.index].offset
        return sum(self.ours.parts[-1].place) if self.ours.parts else 0

    def __str__(self) -> str:
        ours, theirs = (
            f"{view.parts[self.index]}" if self.index < len(view.parts) else f"{view.failure or 'the end'}"
            for view in (self.ours, self.theirs)
        )
        return f"{self.aspect} of part {self.index}: we say {ours}; {self.reader} says {theirs}"


def differences(reader: str, content: bytes, ours: View, theirs: View) -> Iterator[Difference]:
    """Yield where two views differ, in the order of the file; nothing can be compared behind another place."""

    def difference(aspect: str, index: int) -> Difference:
        return Difference(reader=reader, aspect=aspect, index=index, content=content, ours=ours, theirs=theirs)

    both_bad = False
    seen = 0
    for seen, (one, other) in enumerate(zip(ours.parts, theirs.parts, strict=False), 1):
        if one.place != other.place:
            yield difference("place", seen - 1)
            return
        if one.datasum is not other.datasum:
            yield difference("datasum", seen - 1)
        if one.checksum is not other.checksum:
            yield difference("checksum", seen - 1)
        both_bad = both_bad or (SumStatus.BAD in one.sums and SumStatus.BAD in other.sums)
    if both_bad or (ours.is_bad(seen) and theirs.is_bad(seen)):
        return  # both refuse the file, for whatever comes first on their way
    if len(ours.parts) != len(theirs.parts):
        yield difference("fewer" if len(theirs.parts) < len(ours.parts) else "more", seen)
    elif bool(ours.failure) != bool(theirs.failure):
        yield difference("end", seen)
