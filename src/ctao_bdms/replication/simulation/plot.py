"""The picture of a simulated placement: one figure with three panels."""

from __future__ import annotations

import datetime as dt
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import MissingExtraError, UsageError
from ctao_bdms.replication.simulation.loads import gbit_s
from ctao_bdms.replication.simulation.simulate import ChangeKind

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from ctao_bdms.replication.simulation.simulate import Simulation

__all__ = ["plot"]

_FORMS = (".png", ".svg")
#: Colours that differ for everybody (M. Okabe and K. Ito, 2008).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_SITE_COLOURS = ("#0072B2", "#D55E00")
_SETTINGS: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 10.5,
    "axes.titlepad": 9.0,
    "font.size": 9.5,
    "svg.hashsalt": "ctao-bdms",
}


def plot(simulation: Simulation, path: Path) -> None:
    """Draw what centres keep, what nights bring, and what links carry.

    Parameters
    ----------
    path
        The picture: a file ``.png`` or ``.svg``; it is overwritten.

    Raises
    ------
    UsageError
        If `path` has another ending.
    MissingExtraError
        If ``ctao-bdms[plot]`` is not installed.
    """
    if path.suffix not in _FORMS:
        raise UsageError(f"{path}: a picture ends in {' or '.join(_FORMS)}")
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("plot", error.name or "matplotlib") from error
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(11.0, 10.0), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(3, 1, hspace=0.06, height_ratios=(1.15, 0.8, 1.15))
        _centres(figure.add_subplot(grid[0]), simulation)
        _nights(figure.add_subplot(grid[1]), simulation)
        _links(figure.add_subplot(grid[2]), simulation)
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)


def _day(date: dt.date) -> int:
    """Return a date as matplotlib counts: in days since 1970."""
    return (date - dt.date(1970, 1, 1)).days


def _centres(axes: Axes, simulation: Simulation) -> None:
    """Draw the bytes at each centre over the years, and what becomes of centres."""
    dates = [_day(date) for date in simulation.months]
    for colour, load in zip(_COLOURS * len(simulation.centres), simulation.centres, strict=False):
        held = [month.get(load.centre, 0) / 1e15 for month in simulation.months.values()]
        axes.plot(dates, held, color=colour, linewidth=2, label=f"{load.centre}: {held[-1]:.1f} PB")
    top = max(size for month in simulation.months.values() for size in month.values()) / 1e15
    axes.set_ylim(0, top * 1.3)
    for place, effect in enumerate(simulation.effects):
        axes.axvline(_day(effect.date), color="0.55", linewidth=1, linestyle=":")
        said = f"{effect.centre} {effect.what}"
        if effect.moved_bytes:
            said += f"\n{effect.moved} PB move"
        elif effect.what == ChangeKind.JOINS:
            said += "\nnothing moves"
        height = 1.0 - 0.12 * (place % 2)
        axes.annotate(
            said,
            (_day(effect.date), height),
            (5, -2),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            verticalalignment="top",
            fontsize=8.5,
            color="0.25",
        )
    axes.xaxis_date()
    axes.set_xlim(dates[0], dates[-1])
    axes.set_title("Kept at each centre")
    axes.set_ylabel("PB")
    axes.grid(axis="y", color="0.9")
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, title="centre, at the end", alignment="left"
    )


def _nights(axes: Axes, simulation: Simulation) -> None:
    """Draw the bytes of each night, their monthly mean, and the uplink that takes them away within a day."""
    for colour, (site, nights) in zip(_SITE_COLOURS, simulation.nights.items(), strict=False):
        sizes = [(night, size / 1e12) for night, size in nights.items()]
        axes.plot(
            [_day(night.date) for night, _ in sizes],
            [size for _, size in sizes],
            linestyle="",
            marker=".",
            markersize=2.2,
            color=colour,
            alpha=0.35,
            rasterized=True,
        )
        months = [
            (_day(dt.date(year, month, 15)), fmean(size for _, size in group))
            for (year, month), group in groupby(sizes, key=lambda each: (each[0].date.year, each[0].date.month))
        ]
        axes.plot([day for day, _ in months], [mean for _, mean in months], color=colour, linewidth=2, label=str(site))
    top = max(size for nights in simulation.nights.values() for size in nights.values()) / 1e12
    dates = [_day(date) for date in simulation.months]
    axes.set_ylim(0, top * 1.1)
    axes.xaxis_date()
    axes.set_xlim(dates[0], dates[-1])
    axes.set_title("New data of each night (dots) and their monthly mean (lines)")
    axes.set_ylabel("TB a night")
    axes.grid(axis="y", color="0.9")
    rates = axes.twinx()
    rates.set_ylim(0, gbit_s(top * 1.1e12 / 86_400))
    rates.set_ylabel("Gbit/s, if it goes in 24 h")
    rates.spines["right"].set_visible(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.08, 1.0), frameon=False, title="site", alignment="left")


def _links(axes: Axes, simulation: Simulation) -> None:
    """Draw what each link carried: new data, and what moved."""
    targets = [load.centre for load in simulation.centres]
    sources = [*map(str, simulation.nights), *targets]
    top = max(link.new_bytes + link.moved_bytes for link in simulation.links)
    cells = [[0.0] * len(targets) for _ in sources]
    for link in simulation.links:
        row, column = sources.index(link.source), targets.index(link.target)
        cells[row][column] = (link.new_bytes + link.moved_bytes) / top
        said = f"{link.new} PB, {link.peak} Gbit/s" if link.new_bytes else "no new data"
        if link.moved_bytes:
            said += f"\n+ {link.moved} PB moved"
        colour = "white" if cells[row][column] > 0.55 else "0.1"
        axes.text(column, row, said, ha="center", va="center", color=colour, fontsize=8, linespacing=1.1)
    axes.imshow(cells, cmap="Blues", vmin=0, vmax=1.1, aspect="auto")
    axes.set_xticks(range(len(targets)), [f"to {target}" for target in targets])
    axes.set_yticks(range(len(sources)), [f"from {source}" for source in sources])
    axes.set_xticks([place - 0.5 for place in range(1, len(targets))], minor=True)
    axes.set_yticks([place - 0.5 for place in range(1, len(sources))], minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    span = f"{simulation.years} year" + ("s" if simulation.years > 1 else "")
    axes.set_title(f"Each link in {span}: new data, the rate of the largest night if it goes in 24 h, what moved")
