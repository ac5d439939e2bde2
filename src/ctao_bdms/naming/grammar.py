"""Grammars of names: a pattern to parse, and its pieces to locate errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Grammar", "Piece", "offset_of"]


@attrs.frozen
class Piece:
    """A piece of a name.

    Attributes
    ----------
    what
        What it is called in an error.
    pattern
        Its regular expression, with named groups.
    optional
        Whether a name can do without it.
    """

    what: str
    pattern: str
    optional: bool = False


class Grammar:
    """A sequence of pieces.

    Parameters
    ----------
    pieces
        In the order of the name; the last one must match the end.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._steps = [(piece, re.compile(piece.pattern, re.ASCII)) for piece in pieces]
        whole = "".join(f"(?:{piece.pattern}){'?' if piece.optional else ''}" for piece, _ in self._steps)
        self._whole = re.compile(whole, re.ASCII)

    def match(self, text: str) -> re.Match[str]:
        """Return how `text` fits the grammar.

        Raises
        ------
        InvalidNameError
            If it does not; the error points at the character and says what should stand there.
        """
        found = self._whole.match(text)
        if found is None:
            raise self._fault(text)
        return found

    def _fault(self, text: str) -> InvalidNameError:
        """Return an error with the position where `text` leaves the grammar."""
        position = 0
        wanted: list[str] = []
        for piece, pattern in self._steps:
            match = pattern.match(text, position)
            if match is not None:
                position, wanted = match.end(), []
                continue
            wanted.append(piece.what)
            if not piece.optional:
                break
        return InvalidNameError(text, f"here should stand {' or '.join(wanted)}", position)


def offset_of(parts: Sequence[str], index: int) -> int:
    """Return where component `index` of a path begins."""
    return 1 + sum(len(part) + 1 for part in parts[:index])
