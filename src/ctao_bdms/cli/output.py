"""Print results: tables and progress for people, JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import attrs
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from ctao_bdms.cli.files_bar import FilesBar
from ctao_bdms.model import Did, Lfn, Night, ProductMetadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ctao_bdms.rows import Rows

__all__ = ["Output", "plain", "save_picture", "size_text"]


def plain(value: object) -> Any:  # noqa: ANN401 - what JSON can carry is no type
    """Return `value` as a JSON value."""
    if isinstance(value, ProductMetadata):
        return value.to_wire()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, Lfn | Did | Night | PurePath | BaseException):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    kind = type(value)
    if attrs.has(kind):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(kind)}
    return value


def size_text(size_bytes: float) -> str:
    """Return a size in decimal units."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} PB"


def save_picture(console: Console, picture: Path, title: str) -> None:
    """Save the content of a recording `console`; the picture uses local fonts and downloads none."""
    drawn = console.export_svg(title=title)
    picture.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


class Output:
    """The output of a command.

    Parameters
    ----------
    as_json
        Print JSON instead of text.
    console
        The terminal; by default that of the process.
    """

    def __init__(self, *, as_json: bool = False, console: Console | None = None) -> None:
        self.as_json = as_json
        # Without a terminal, do not wrap rows.
        width = None if sys.stdout.isatty() else 1000
        self.console = console or Console(quiet=as_json, width=width, highlight=False)

    def line(self, text: str) -> None:
        """Print a line of text; nothing with JSON."""
        self.console.print(text, soft_wrap=True)

    def text(self, text: str) -> None:
        """Print a line of text literally: brackets are not markup."""
        self.console.print(text, soft_wrap=True, markup=False)

    def json(self, value: object) -> None:
        """Print one JSON object on a line; nothing without JSON."""
        if self.as_json:
            print(json.dumps(plain(value), ensure_ascii=True), flush=True)

    def rows(self, rows: Rows[Any], title: str = "", only: Iterable[str] | None = None) -> None:
        """Print rows: a table, or one JSON object per line."""
        for row in rows if self.as_json else ():
            self.json(row)
        chosen = [column for column in rows.columns if only is None or column[0] in set(only)]
        table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
        for heading, _ in chosen:
            table.add_column(heading, overflow="fold", justify="right" if heading == "bytes" else "left")
        places = [rows.columns.index(column) for column in chosen]
        for cells in rows.cells():
            table.add_row(*(cells[place].replace("[", "\\[") for place in places))
        self.console.print(table)

    @contextmanager
    def bytes_bar(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show a bar of bytes with their rate during the block; yields a function that advances it."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with self._progress(*columns) as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.update(task, advance=count)

    @contextmanager
    def files_bar(self, what: str) -> Iterator[FilesBar]:
        """Show a bar for all files and one for each in progress during the block; yields the bars.

        Without a terminal, print a line at intervals.
        """
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with self._progress(*columns, TimeRemainingColumn()) as progress:
            yield FilesBar(progress, what, None if self.console.is_terminal else self.line)

    @contextmanager
    def counter(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """Show a bar of completed items during the block; yields a function that advances it."""
        with self._progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.update(task, advance=1)

    def _progress(self, *columns: Any) -> Progress:  # noqa: ANN401 - rich's columns
        """Return a progress display, on a terminal only, which disappears at the end."""
        return Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
