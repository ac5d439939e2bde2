"""bdms status."""

from __future__ import annotations

import datetime as dt
import io
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ctao_bdms.cli.common import Home, Json, between, home_path
from ctao_bdms.cli.embedded.screen import line, screen, silent
from ctao_bdms.cli.output import Output, plain, save_picture
from ctao_bdms.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ctao_bdms.embedded import InstanceStatus

__all__ = ["show", "status"]

_PICTURE_WIDTH = 124
_STATE_FOLDER = "BDMS_INGESTD_STATE_FOLDER"


def status(
    *,
    ingestd: Annotated[
        str, Parameter(name="--ingestd", help="The URL of the ingestion daemon: http://127.0.0.1:9465.")
    ] = "",
    config: Annotated[
        Path | None, Parameter(help="The settings of the ingestion daemon, whose state folder has its URL.")
    ] = None,
    watch: Annotated[bool, Parameter(negative="", help="Update the status of the daemon until Ctrl-C.")] = False,
    interval_s: Annotated[
        float, Parameter(name="--interval", validator=between(0.1, 86_400), help="Seconds between two updates.")
    ] = 1.0,
    svg: Annotated[Path | None, Parameter(help="Save the status of the daemon as a picture.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Show the status of the Rucio of this machine and of the ingestion daemon.

    The daemon is given by `--ingestd`, by `--config`, or by the environment variable BDMS_INGESTD_STATE_FOLDER. With
    `--watch`, only the daemon is shown, live; without a terminal, as one line per update.

    Exit code 0 if every part runs, 1 if not, 3 if the daemon does not answer. A watch ends with 0.

    Example: `bdms status --config /etc/bdms/ingestd.toml --watch`
    """
    output = Output(as_json=as_json)
    if watch:
        _watch(output, ingestd, config, interval_s, svg)
        return 0
    address = _address(ingestd, config)
    if not address:
        return show(home_path(home), output)
    from ctao_bdms.daemon.face import remote

    said = remote.fetch_status(address)
    code = 0
    if home is not None or home_path(home).exists():
        from ctao_bdms import embedded

        state = embedded.status(home_path(home))
        output.json({**plain(state), "ingestd": said})
        code = _show(state, output)
        output.line("")
    else:
        output.json({"ingestd": said})
    shown = screen(said, remote.RateMeter().rates(0.0, said), dt.datetime.now(dt.UTC))
    output.console.print(shown, width=min(output.console.width, 120))
    _draw(shown, svg)
    return code


def show(home: Path, output: Output) -> int:
    """Print the status of the embedded Rucio in `home`."""
    from ctao_bdms import embedded

    state = embedded.status(home)
    output.json(state)
    return _show(state, output)


def _show(state: InstanceStatus, output: Output) -> int:
    """Print the status of an embedded Rucio; return the exit code."""
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
        for url in state.storage_urls.get(rse, {}).values():
            table.add_row("", url)
    output.console.print(table)
    return 0 if state.running and all(part.alive for part in state.parts) else 1


def _address(url: str, config: Path | None) -> str:
    """Return the URL of the daemon from options or environment; empty if there is none."""
    if url:
        return url
    from ctao_bdms.daemon.face import remote

    if config is not None:
        from ctao_bdms.daemon.config import settings_from

        return remote.read_address(settings_from(config, os.environ).address_file)
    folder = os.environ.get(_STATE_FOLDER)
    return remote.read_address(Path(folder, "address")) if folder else ""


def _watch(output: Output, url: str, config: Path | None, interval_s: float, svg: Path | None) -> None:
    """Show a daemon until Ctrl-C, also across its restarts."""
    from ctao_bdms.daemon.face import remote

    if not (url or config is not None or os.environ.get(_STATE_FOLDER)):
        raise UsageError(f"no daemon given; use --ingestd URL, --config FILE, or {_STATE_FOLDER}")
    meter, last, lost_s = remote.RateMeter(), None, None
    live = None
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        if output.console.is_terminal and not output.as_json:
            live = stack.enter_context(Live(console=output.console, screen=True, auto_refresh=False))
        while True:
            begin_s, now = time.monotonic(), dt.datetime.now(dt.UTC)
            shown: RenderableType
            try:
                said = remote.fetch_status(_address(url, config))
            except UnreachableError as error:
                lost_s = begin_s if lost_s is None else lost_s
                shown, text = silent(str(error), begin_s - lost_s, last), f"{now:%Y-%m-%dT%H:%M:%SZ}; {error}"
                output.json({"time": now, "error": str(error)})
            else:
                rates, lost_s = meter.rates(begin_s, said), None
                shown = last = screen(said, rates, now)
                text = line(said, rates, now)
                output.json({**said, "rates": plain(rates)})
                _draw(last, svg)
            if live is None:
                output.text(text)
            else:
                live.update(shown, refresh=True)
            time.sleep(max(0.0, begin_s + interval_s - time.monotonic()))


def _draw(shown: RenderableType, svg: Path | None) -> None:
    """Save a screen as a picture."""
    if svg is not None:
        console = Console(record=True, width=_PICTURE_WIDTH, file=io.StringIO(), force_terminal=True)
        console.print(shown)
        save_picture(console, svg, "bdms status --watch")
