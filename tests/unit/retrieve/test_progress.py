"""Progress is shown in bars, or in lines without a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from tests.unit.retrieve.archive import MB, Archive

from ctao_bdms.access import retrieve
from ctao_bdms.cli.files_bar import FilesBar
from ctao_bdms.cli.output import Output

if TYPE_CHECKING:
    from pathlib import Path


def test_bars_show_the_total_and_each_large_file(large: Archive, tmp_path: Path) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Output(console=screen).files_bar("fetching") as bar:
        retrieve(large, large.rses(), large.lfns, tmp_path / "to", progress=bar)
        bar._bars.refresh()
        shown = screen.file.getvalue()  # type: ignore[attr-defined]
        assert "fetching 1 of 1" in shown
        assert [task.completed for task in bar._bars.tasks] == [40 * MB]


def test_progress_is_written_in_lines_without_a_terminal(large: Archive) -> None:
    now, lines = [0.0], list[str]()
    output = Output(console=Console(file=io.StringIO(), force_terminal=False))
    with output.files_bar("fetching") as plain:
        bar = FilesBar(plain._bars, "fetching", lines.append, clock=lambda: now[0])
        file = large.files(large.lfns)[large.lfns[0]]
        bar.begin(3, 80 * MB)
        bar.start(file)
        bar.moved(file.lfn, 10 * MB)
        assert lines == []
        now[0] = 10.0
        bar.moved(file.lfn, 10 * MB)
        bar.moved(file.lfn, 10 * MB)
        assert lines == ["fetching: 0 of 3 files, 25% of the bytes"]
