"""bdms up."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import Home, Json, home_path
from ctao_bdms.cli.output import Output
from ctao_bdms.cli.status import show

__all__ = ["up"]


def up(
    *,
    home: Home = None,
    detach: Annotated[bool, Parameter(negative="", help="Leave it running and return.")] = False,
    database_url: Annotated[
        str | None,
        Parameter(
            name="--database-url",
            env_var="BDMS_DATABASE_URL",
            help="A PostgreSQL of yours instead of its own.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Start a real Rucio on this machine: server, daemons, database, transfers, three storage elements.

    Everything it keeps is in its home; a second start finds everything as it was. Without --detach it runs until
    Ctrl-C.

    Example: `bdms up --detach`
    """
    from ctao_bdms import embedded

    output = Output(as_json=as_json)
    place = home_path(home)

    def step(text: str) -> None:
        output.line(f"[dim]{text}[/]")

    if detach:
        embedded.start(place, database_url=database_url, detach=True, on_step=step)
        return show(place, output)

    def ready(_: object) -> None:
        show(place, output)
        output.line("Ctrl-C stops it")

    embedded.run(place, database_url=database_url, on_step=step, on_ready=ready)
    return 0
