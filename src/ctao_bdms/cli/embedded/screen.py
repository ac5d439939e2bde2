"""The screen of `bdms status` for a running daemon."""

from __future__ import annotations

import datetime as dt
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ctao_bdms.cli.output import size_text
from ctao_bdms.errors import InvalidNameError
from ctao_bdms.naming import BlockName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from ctao_bdms.daemon.face.remote import Rates

__all__ = ["line", "screen", "silent"]

_STATES = ("found", "scanned", "registered", "replicated", "quarantined", "withdrawn")
_COLOURS = {
    "found": "yellow",
    "scanned": "cyan",
    "registered": "blue",
    "replicated": "green",
    "quarantined": "red",
    "withdrawn": "magenta",
}
_BAR = 40
_MANY = 6


def screen(said: Mapping[str, Any], rates: Rates, now: dt.datetime) -> RenderableType:
    """Return the screen for a status of the daemon.

    Parameters
    ----------
    said
        The response to ``/status``.
    rates
        The processing rates.
    now
        The time (aware).
    """
    if not said:
        return Text("The daemon has begun, and has not looked yet.")
    parts: list[RenderableType] = [_head(said, now), Text(), _queue(said), Text(), _speed(said, rates)]
    for part in (_outages(said), _waiting(said), _blocks(said, now), _nights(said), _inbox(said)):
        if part is not None:
            parts += [Text(), part]
    return Panel(Group(*parts), title="bdms ingestd", title_align="left", padding=(0, 1))


def silent(error: str, since_s: float, last: RenderableType | None) -> RenderableType:
    """Return the screen of a daemon that does not answer, above its last status."""
    said = Text(f"{error}; for {_age(since_s)}", style="bold red")
    return said if last is None else Group(said, Text("What it said last:"), last)


def line(said: Mapping[str, Any], rates: Rates, now: dt.datetime) -> str:
    """Return a status of the daemon on one line, for logs."""
    files = {state: tally["files"] for state, tally in said.get("files", {}).items()}
    counts = ", ".join(f"{number} {state}" for state, number in files.items() if number) or "no files"
    speed = rates.files_per_s["registered"]
    parts = [f"{now:%Y-%m-%dT%H:%M:%SZ}", counts]
    parts += [] if speed is None else [f"{speed:.1f} files/s registered"]
    parts += [f"{cause} fails" for cause in said.get("outages", {})]
    oldest = _oldest_s(said, now)
    parts += [] if oldest is None else [f"the oldest waits for {_age(oldest)}"]
    return "; ".join(parts)


def _head(said: Mapping[str, Any], now: dt.datetime) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    up_s = _seconds(said.get("since"), now)
    stale_s = _seconds(said.get("time"), now) or 0.0
    lost = int(said.get("totals", {}).get("workers_restarted_total", 0))
    table.add_row(
        f"[bold]{said.get('host', '')}[/] process {said.get('pid', '')}",
        f"up {_age(up_s or 0.0)}",
        f"lease {said.get('lease', '')}",
        f"version {said.get('version', '')}",
        f"{said.get('workers', '?')} workers, {said.get('reading', 0)} files with them"
        + (f", [red]{lost} replaced[/]" if lost else ""),
        f"[red]seen {_age(stale_s)} ago[/]" if stale_s > 10 else "",
    )
    return table


def _queue(said: Mapping[str, Any]) -> Table:
    """Return a row for each state, with a bar of its share."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=12)
    table.add_column(justify="right", min_width=9)
    table.add_column(justify="right", min_width=10)
    table.add_column(width=_BAR)
    files = said.get("files", {})
    total = sum(tally["files"] for tally in files.values())
    for state in _STATES:
        tally = files.get(state, {"files": 0, "size_bytes": 0})
        colour = _COLOURS[state] if tally["files"] else "dim"
        bar = ProgressBar(total=max(total, 1), completed=tally["files"], width=_BAR, complete_style=colour)
        bar.finished_style = colour
        table.add_row(Text(state, style=colour), f"{tally['files']:,}", size_text(tally["size_bytes"]), bar)
    return table


def _speed(said: Mapping[str, Any], rates: Rates) -> Table:
    """Return rates, totals, space and the oldest waiting file."""
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="bold")
    for heading in ("", "files/s", "MB/s", "files since start", "bytes since start"):
        table.add_column(heading, justify="right" if heading else "left", min_width=8)
    totals = said.get("totals", {})
    for step, files_per_s in rates.files_per_s.items():
        bytes_per_s = rates.bytes_per_s[step]
        table.add_row(
            step,
            "" if files_per_s is None else f"{files_per_s:,.1f}",
            "" if bytes_per_s is None else f"{bytes_per_s / 1e6:,.1f}",
            f"{int(totals.get(f'{step}_files_total', 0)):,}",
            size_text(totals.get(f"{step}_bytes_total", 0)),
        )
    return table


def _outages(said: Mapping[str, Any]) -> Text | None:
    outages = said.get("outages", {})
    if not outages:
        return None
    probe_s = said.get("next_probe_in_s")
    text = Text("outages  ", style="bold red")
    text.append(
        "; ".join(f"{cause}: {failures} failures in a row" for cause, failures in outages.items()), style="not bold"
    )
    text.append("; being probed" if probe_s is None else f"; next probe in {probe_s:.0f} s", style="not bold")
    return text


def _waiting(said: Mapping[str, Any]) -> Text | None:
    waiting = said.get("waiting", {})
    if not waiting:
        return None
    text = Text("waiting  ", style="bold yellow")
    return text.append("; ".join(f"{files:,} for {cause}" for cause, files in waiting.items()), style="not bold")


def _blocks(said: Mapping[str, Any], now: dt.datetime) -> Table | None:
    blocks = said.get("open_blocks", [])
    if not blocks:
        return None
    table = _table("open block", "files", "bytes", "age")
    for block in blocks[:_MANY]:
        try:
            age = _age((now - BlockName.parse(block["block"]).opened).total_seconds())
        except InvalidNameError:
            age = ""
        table.add_row(block["block"], f"{block['files']:,}", size_text(block["size_bytes"]), age)
    if len(blocks) > _MANY:
        table.add_row(f"... and {len(blocks) - _MANY} more")
    return table


def _nights(said: Mapping[str, Any]) -> Table | None:
    nights = said.get("nights", {})
    if not nights:
        return None
    table = _table("night", *_STATES)
    for night, files in sorted(nights.items(), reverse=True):
        counts = [(state, files.get(state, 0)) for state in _STATES]
        table.add_row(night, *(Text(f"{n:,}", style=_COLOURS[state] if n else "dim") for state, n in counts))
    return table


def _inbox(said: Mapping[str, Any]) -> Text:
    """Return inbox, space and the oldest waiting file."""
    inbox, free = said.get("inbox", {}), said.get("free_bytes", {})
    low = set(said.get("low_on_space", ()))
    oldest_s = _oldest_s(said, dt.datetime.fromisoformat(said["time"])) if "time" in said else None
    text = Text()
    text.append("inbox    ", style="bold")
    text.append(f"{inbox.get('triggers', 0):,} triggers in {inbox.get('folders', 0):,} folders")
    lonely = inbox.get("waiting_triggers", 0)
    if oldest_s is not None:
        text.append(f"; the oldest file waits for {_age(oldest_s)}")
    if lonely:
        text.append(f"; {lonely:,} triggers stand for nothing", style="yellow")
        for trigger, why in [*inbox.get("waiting", {}).items()][:_MANY]:
            text.append(f"\n         {PurePath(trigger).name}: {why}", style="yellow")
    elif oldest_s is None:
        text.append("; nothing waits")
    for place, why in [*inbox.get("errors", {}).items()][:_MANY]:
        text.append(f"\n         {place}: {why}", style="red")
    text.append("\nspace    ", style="bold")
    for place, left in free.items():
        text.append(f"{place}: {size_text(left)} free   ", style="bold red" if place in low else "")
    return text.append(f"journal: {size_text(said.get('journal_bytes', 0))}")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="bold")
    table.add_column(first, overflow="fold")
    for other in others:
        table.add_column(other, justify="right", no_wrap=True)
    return table


def _oldest_s(said: Mapping[str, Any], now: dt.datetime) -> float | None:
    return _seconds(said.get("oldest_waiting"), now)


def _seconds(time: str | None, now: dt.datetime) -> float | None:
    """Return the seconds since a time in ISO 8601."""
    return None if time is None else max(0.0, (now - dt.datetime.fromisoformat(time)).total_seconds())


def _age(seconds: float) -> str:
    """Return a duration with suitable units: 45 s, 12 min 5 s, 3 h 20 min, 5 d 3 h."""
    whole = int(seconds)
    for size, word, small, less in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {word} {whole % size // small} {less}"
    return f"{whole} s"
