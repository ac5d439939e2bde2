"""bdms placement."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from ctao_bdms.cli.common import Json, PolicyOption, policy_file
from ctao_bdms.cli.output import Output
from ctao_bdms.errors import UsageError
from ctao_bdms.model import RetentionClass
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from ctao_bdms.replication.simulation.simulate import Simulation

__all__ = ["placement"]

placement = cyclopts.App(name="placement", help="Where copies belong.", help_format="markdown")

_When = Annotated[tuple[str, ...], Parameter(negative="")]


@placement.command
def simulate(
    *,
    years: Annotated[int, Parameter(help="How many years.")] = 5,
    start: Annotated[str, Parameter(help="The first night.")] = "2027-01-01",
    petabytes: Annotated[float, Parameter(help="The data volume of both sites per year.")] = 3.0,
    centre: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="A centre and its share, PIC=1; by default those of the policy, else the four."),
    ] = (),
    join: Annotated[_When, Parameter(help="A centre joins: CSCS@2028-01.")] = (),
    leave: Annotated[_When, Parameter(help="A centre leaves: its copies are made elsewhere.")] = (),
    full: Annotated[_When, Parameter(help="A centre is full: it gets no new data.")] = (),
    even_out: Annotated[
        bool, Parameter(negative="", help="A centre that joins also takes its share of older nights.")
    ] = False,
    retention: Annotated[RetentionClass, Parameter(help="The retention class of the data.")] = RetentionClass.PERMANENT,
    plot: Annotated[Path | None, Parameter(help="Save a plot to this file, .png or .svg.")] = None,
    policy: PolicyOption = None,
    as_json: Json = False,
) -> int:
    """Simulate the placement of years of nights, and the load of centres and links. Needs no archive.

    The volume of a year is distributed over the nights by their dark hours without Moon.

    Example: `bdms placement simulate --years 5 --join CSCS@2028-01 --leave PIC@2029-06 --plot placement.png`
    """
    from ctao_bdms.replication import Policy
    from ctao_bdms.replication.simulation.plot import plot as draw
    from ctao_bdms.replication.simulation.simulate import Change, ChangeKind
    from ctao_bdms.replication.simulation.simulate import simulate as simulated

    if not 1 <= years <= 50 or not 0 < petabytes < 1e6:
        raise UsageError("a simulation needs 1 to 50 years, and more than 0 petabytes per year")
    said = {ChangeKind.JOINS: join, ChangeKind.LEAVES: leave, ChangeKind.FULL: full}
    simulation = simulated(
        Policy.load(policy_file(policy)),
        first=_date(start),
        years=years,
        centres=dict(map(_share, centre)) or None,
        changes=[Change.parse(kind, text) for kind, texts in said.items() for text in texts],
        even_out=even_out,
        retention=retention,
        bytes_per_year=petabytes * 1e15,
    )
    if plot is not None:
        draw(simulation, plot)
    output = Output(as_json=as_json)
    _show(output, simulation)
    if plot is not None and not as_json:
        output.line(f"drawn: {plot}")
    return 0


def _show(output: Output, simulation: Simulation) -> None:
    """Print the tables of a simulation."""
    tables: dict[str, Rows[Any]] = {
        "centres": simulation.centres,
        "links": simulation.links,
        "changes": simulation.effects,
    }
    if output.as_json:
        output.json({name: list(rows) for name, rows in tables.items()})
        return
    for rows in (rows for rows in tables.values() if rows):
        output.rows(rows)
        output.line("")
    nights = [size for each in simulation.nights.values() for size in each.values()]
    output.line(f"{len(nights)} nights of two sites; the largest brings {max(nights) / 1e12:.1f} TB")


def _date(text: str) -> dt.date:
    try:
        date = dt.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a date; write it as 2027-01-01") from error
    if not 1900 <= date.year < 3000:
        raise UsageError(f"{text!r} is not a valid night; use a year from 1900 to 2999")
    return date


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name, float(share or 1)
    except ValueError as error:
        raise UsageError(f"--centre {text}: expected NAME=SHARE, as PIC=1") from error
