"""Results that people look at: typed rows that show themselves as a table, in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from ctao_bdms.errors import MissingExtraError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Rows"]

Row = TypeVar("Row")


class Rows(Sequence[Row], Generic[Row]):
    """A read-only sequence of values of one kind.

    Parameters
    ----------
    rows
        The values.
    """

    #: The columns: heading, and the attribute that fills it.
    columns: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: How many rows a `repr` shows.
    shown: ClassVar[int] = 20

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield each row as text, a cell a column."""
        for row in self._rows:
            yield tuple(_text(getattr(row, attribute)) for _, attribute in self.columns)

    def __repr__(self) -> str:
        head = tuple(heading for heading, _ in self.columns)
        body = [cells for cells, _ in zip(self.cells(), range(self.shown), strict=False)]
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (head, *body)
        ]
        title = f"<{type(self).__name__}: {len(self)} rows>"
        more = [f"... and {len(self) - self.shown} more"] if len(self) > self.shown else []
        return "\n".join(line.rstrip() for line in [title, *(lines if body else []), *more])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(heading)}</th>" for heading, _ in self.columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>" for cells in self.cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    @property
    def table(self) -> Table:
        """The rows as an `astropy.table.Table`.

        Raises
        ------
        MissingExtraError
            If astropy is not installed.
        """
        try:
            from astropy.table import Table
        except ImportError as error:
            raise MissingExtraError("client", "astropy") from error
        columns: list[list[Any]] = [[getattr(row, attribute) for row in self._rows] for _, attribute in self.columns]
        plain = [[value if isinstance(value, int | float) else _text(value) for value in column] for column in columns]
        return Table(plain, names=[heading for heading, _ in self.columns])


def _text(value: object) -> str:
    """Return how a value stands in a cell."""
    if value is None:
        return ""
    if isinstance(value, tuple | frozenset | list):
        return ", ".join(map(str, value))
    return str(value)
