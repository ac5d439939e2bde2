"""bdms demo."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from ctao_bdms.cli.common import Json
from ctao_bdms.cli.output import Output
from ctao_bdms.errors import MissingExtraError, UsageError
from ctao_bdms.facade import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.cli.demo_run import DemoResult
    from ctao_bdms.ingest import IngestReport

__all__ = ["demo"]


def demo(
    *,
    files: Annotated[int, Parameter(validator=validators.Number(gte=4, lte=20_000), help="How many files.")] = 24,
    megabytes: Annotated[
        float, Parameter(validator=validators.Number(gt=0), help="Size of a telescope's file, MB.")
    ] = 2.0,
    seed: Annotated[int, Parameter(help="Where the random content comes from.")] = 0,
    keep: Annotated[Path | None, Parameter(help="A new folder for the archive, which is kept.")] = None,
    database_url: Annotated[str | None, Parameter(name="--database-url", help="A PostgreSQL of yours.")] = None,
    svg: Annotated[Path | None, Parameter(help="Save what is shown as a picture.")] = None,
    as_json: Json = False,
) -> int:
    """Show the whole way of a night on a real Rucio, with genuine DL0 files, in a folder that is removed.

    Starts a Rucio, writes a night, damages two files, ingests, replicates to two data centres, reads every copy back,
    queries, retrieves, and compares every byte. Exit code 0 only if all is as it must be.

    Example: `bdms demo --files 120 --seed 7 --keep /tmp/night`
    """
    try:
        from ctao_bdms import embedded
        from ctao_bdms.cli.demo_run import play
        from ctao_bdms.testing.dl0 import night_specs
    except ModuleNotFoundError as error:
        raise MissingExtraError("embedded", error.name or "a module") from error
    specs = night_specs(files, megabytes=megabytes, seed=seed)
    console = Console(record=svg is not None, quiet=as_json, highlight=False, width=100 if svg else None)
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
        console.save_svg(str(svg), title="bdms demo")
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


def _folder(keep: Path | None, stack: ExitStack) -> Path:
    """Return the folder of the archive: a new one that is kept, or one that goes when `stack` ends."""
    if keep is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bdms-demo-")))
    folder = keep.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; --keep needs a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class _Screen:
    """Shows the demonstration on a terminal, or line by line where there is none."""

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
        self._console.print(f"             [green]{' '.join(said)}[/] [dim]{time.monotonic() - begin:.1f} s[/]")

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        columns = (TextColumn("             {task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)

    def rejected(self, report: IngestReport) -> None:
        for outcome in report.rejected:
            self._console.print(f"             [yellow]quarantined[/] {outcome.file}")
            for defect in outcome.defects:
                self._console.print(f"               {defect}", markup=False)

    def files(self, result: DemoResult) -> None:
        """Show a row for each file, and the verdict."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in ("file", "bytes", "adler32", "copies verified at"):
            table.add_column(heading, justify="right" if heading == "bytes" else "left", overflow="fold")
        for file in result.files:
            where = ", ".join(file.copies) or f"[yellow]{file.status}: {file.damage}[/]"
            table.add_row(file.lfn.rpartition("/")[2], f"{file.size_bytes:,}", file.adler32, where)
        self._console.print()
        self._console.print(table)
        self._console.print(f"\n[bold {'green' if result.ok else 'red'}]{result.verdict}[/]")
