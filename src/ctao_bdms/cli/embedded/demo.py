"""bdms demo."""

from __future__ import annotations

import re
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from ctao_bdms.archive import connect
from ctao_bdms.cli.common import Json
from ctao_bdms.cli.output import Output, save_picture
from ctao_bdms.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.cli.embedded.demo_result import DemoResult
    from ctao_bdms.ingest import IngestReport

__all__ = ["demo"]


def demo(
    *,
    files: Annotated[int, Parameter(validator=validators.Number(gte=4, lte=20_000), help="How many files.")] = 24,
    megabytes: Annotated[
        float, Parameter(validator=validators.Number(gt=0), help="Size of a telescope's file, MB.")
    ] = 2.0,
    seed: Annotated[int, Parameter(help="The seed of the random content.")] = 0,
    keep: Annotated[Path | None, Parameter(help="A new folder for the archive, which is kept.")] = None,
    database_url: Annotated[str | None, Parameter(name="--database-url", help="A PostgreSQL of yours.")] = None,
    svg: Annotated[Path | None, Parameter(help="Save what is shown as a picture.")] = None,
    as_json: Json = False,
) -> int:
    """Demonstrate the data flow of one night on a real Rucio, with real DL0 files, in a temporary folder.

    Starts a Rucio, writes a night, damages two files, ingests, replicates to two data centres, reads every copy back,
    queries, retrieves, and compares every byte. Exit code 0 only if all results are as expected.

    Example: `bdms demo --files 120 --seed 7 --keep /tmp/night`
    """
    try:
        from ctao_bdms import embedded
        from ctao_bdms.cli.embedded.demo_run import play
        from ctao_bdms.testing.dl0 import night_specs
    except ModuleNotFoundError as error:
        raise MissingExtraError("embedded", error.name or "a module") from error
    specs = night_specs(files, megabytes=megabytes, seed=seed)
    console = _console(as_json=as_json, picture=svg is not None)
    with ExitStack() as stack:
        folder = _folder(keep, stack)
        screen = _Screen(console)
        console.print("[bold]bdms demo[/]: one night at CTAO-North, on a real Rucio, with genuine DL0 files\n")
        result = play(
            lambda say: embedded.start(folder / "rucio", database_url=database_url, on_step=say),
            connect,
            specs,
            folder / "retrieved",
            screen,
        )
    screen.files(result)
    if keep is not None:
        console.print(f"[dim]The archive is kept: bdms up --home {folder / 'rucio'}[/]")
    if svg is not None:
        save_picture(console, svg, "bdms demo")
    Output(as_json=as_json).json(
        {
            "ok": result.ok,
            "verdict": result.verdict,
            "counts": result.counts,
            "seconds": result.seconds,
            "problems": result.problems,
            "files": result.files,
        }
    )
    return 0 if result.ok else 1


def _console(*, as_json: bool, picture: bool) -> Console:
    """Return the terminal; a picture has the width of a page, a log that of its lines."""
    console = Console(record=picture, quiet=as_json, highlight=False)
    if picture or not console.is_terminal:
        console.width = 124
    return console


def _folder(keep: Path | None, stack: ExitStack) -> Path:
    """Return the folder of the archive: a new one that is kept, or one that is removed when `stack` closes."""
    if keep is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bdms-demo-")))
    folder = keep.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; --keep needs a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class _Screen:
    """Shows the demonstration on a terminal, or line by line without one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._number = 0

    @contextmanager
    def step(self, name: str, aim: str) -> Iterator[Callable[[str], None]]:
        self._number += 1
        self._console.print(f"[bold cyan]{self._number} {name:<10}[/] {aim}")
        said: list[str] = []
        begin = time.monotonic()
        yield said.append
        text = Text("\n".join(said), style="green")
        text.append(f"  {time.monotonic() - begin:.1f} s", style="not green dim")
        self._console.print(Padding(text, (0, 0, 0, 13), expand=False))

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        columns = (TextColumn("             {task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.update(task, advance=count)

    def rejected(self, report: IngestReport) -> None:
        for outcome in report.rejected:
            self._console.print(f"             [yellow]{outcome.status}[/] {outcome.file}", soft_wrap=True)
            for defect in outcome.defects:
                self._console.print(Padding(Text(str(defect)), (0, 0, 0, 15), expand=False))

    def files(self, result: DemoResult) -> None:
        """Show a row for each file under its directory, and the verdict."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("file", overflow="fold")
        table.add_column("bytes", justify="right", no_wrap=True)
        table.add_column("adler32", no_wrap=True)
        table.add_column("verified copies at", no_wrap=True)
        folder = ""
        for file in sorted(result.files, key=lambda file: file.lfn):
            above, _, name = file.lfn.rpartition("/")
            if above != folder:
                folder = above
                table.add_row(f"[dim]{folder}/[/]")
            where = ", ".join(file.copies) or f"[yellow]none: {file.status}[/]"
            table.add_row(f"  {_shortened(name)}", f"{file.size_bytes:,}", file.adler32, where)
        self._console.print()
        self._console.print(table)
        self._console.print(f"\n[bold {'green' if result.ok else 'red'}]{result.verdict}[/]")


def _shortened(name: str) -> str:
    """Return a file name without the block numbers, which are the same for all files of a night."""
    return re.sub(r"_SBID\d+_OBSID0*(\d+)", r"..OBSID\1", name)
