"""Tables of results: typed rows that display as a table in a terminal and in a notebook."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from ctao_bdms.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

__all__ = ["Rows"]

Row = TypeVar("Row")


class Rows(Sequence[Row], Generic[Row]):
    """A read-only sequence of values of one kind."""

    #: The columns: heading and attribute.
    columns: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: The units of columns, as astropy writes them, by heading.
    units: ClassVar[Mapping[str, str]] = {}
    #: The number of rows displayed in a terminal and in a notebook.
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
        """Yield each row as a tuple of texts."""
        for row in self._rows:
            yield tuple(_text(getattr(row, attribute)) for _, attribute in self.columns)

    def _shown(self) -> tuple[list[tuple[str, ...]], str]:
        """Return the displayed rows, and the line with the number of the others."""
        body = [cells for cells, _ in zip(self.cells(), range(self.shown), strict=False)]
        return body, f"... and {len(self) - self.shown} more" if len(self) > self.shown else ""

    def __repr__(self) -> str:
        head = tuple(heading for heading, _ in self.columns)
        body, more = self._shown()
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (head, *body)
        ]
        title = f"<{type(self).__name__}: {len(self)} rows>"
        return "\n".join(line.rstrip() for line in [title, *(lines if body else []), *([more] if more else [])])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(heading)}</th>" for heading, _ in self.columns)
        rows, more = self._shown()
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>" for cells in rows)
        foot = f'<tfoot><tr><td colspan="{len(self.columns)}">{more}</td></tr></tfoot>' if more else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>{foot}</table>"

    @property
    def table(self) -> Table:
        """The rows as an `astropy.table.Table`: times as `astropy.time.Time`, numbers with their units.

        Missing values are masked.

        Raises
        ------
        MissingExtraError
            If astropy is not installed.
        """
        try:
            from astropy.table import Table
        except ImportError as error:
            raise MissingExtraError("client", "astropy") from error
        table = Table()
        for heading, attribute in self.columns:
            column = _column([getattr(row, attribute) for row in self._rows])
            table[heading] = column
            if heading in self.units:
                table[heading].unit = self.units[heading]
        return table

    @property
    def pandas(self) -> pd.DataFrame:
        """The rows as a `pandas.DataFrame`; times are UTC.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("pandas", "pandas") from error
        return pd.DataFrame(
            {heading: [_plain(getattr(row, attribute)) for row in self._rows] for heading, attribute in self.columns}
        )


def _column(values: Sequence[object]) -> Any:  # noqa: ANN401 (astropy's columns)
    """Return the values of a column as an astropy column."""
    import numpy as np
    from astropy.table import Column, MaskedColumn
    from astropy.time import Time

    there = [value for value in values if value is not None]
    absent = [value is None for value in values]
    if there and all(isinstance(value, dt.datetime) for value in there):
        filled = [there[0] if value is None else value for value in values]
        times = Time(filled, scale="utc")
        if any(absent):
            times[np.array(absent)] = np.ma.masked
        return times
    if there and all(isinstance(value, int | float) for value in there):
        return MaskedColumn([value or 0 for value in values], mask=absent) if any(absent) else Column(values)
    return Column([_text(value) for value in values], dtype=None if values else str)


def _plain(value: object) -> object:
    """Return a value in a type that pandas supports."""
    return value if value is None or isinstance(value, int | float | dt.datetime) else _text(value)


def _text(value: object) -> str:
    """Return a value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, tuple | frozenset | list):
        return ", ".join(map(str, value))
    return str(value)
