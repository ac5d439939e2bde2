"""bdms status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from ctao_bdms.cli.common import Home, Json, home_path
from ctao_bdms.cli.output import Output

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["show", "status"]


def status(*, home: Home = None, as_json: Json = False) -> int:
    """Show whether the Rucio of this machine runs, and how to reach it.

    Exit code 0 if every part runs, 1 if not.

    Example: `bdms status --json`
    """
    return show(home_path(home), Output(as_json=as_json))


def show(home: Path, output: Output) -> int:
    """Print what runs in `home`."""
    from ctao_bdms import embedded

    state = embedded.status(home)
    output.json(state)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("home", str(state.home))
    table.add_row("running", "yes" if state.running else "no")
    for part in state.parts:
        table.add_row(f"  {part.name}", f"process {part.pid}" if part.alive else "[red]not running[/]")
    table.add_row("server", state.server_url)
    table.add_row("transfers", state.transfers_url)
    table.add_row("database", state.database)
    for account, config in state.client_configs.items():
        table.add_row(f"client of {account}", f"RUCIO_CONFIG={config}")
    for rse, prefix in state.rses.items():
        table.add_row(rse, str(prefix))
    output.console.print(table)
    return 0 if state.running and all(part.alive for part in state.parts) else 1
