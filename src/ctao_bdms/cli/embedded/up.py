"""bdms up."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import Home, Json, home_path
from ctao_bdms.cli.embedded.status import show
from ctao_bdms.cli.output import Output
from ctao_bdms.embedded.state import StorageKind

__all__ = ["up"]


def up(
    *,
    home: Home = None,
    detach: Annotated[bool, Parameter(negative="", help="Return and leave it running.")] = False,
    database_url: Annotated[
        str | None,
        Parameter(
            name="--database-url",
            env_var="BDMS_DATABASE_URL",
            help="An existing PostgreSQL instead of its own.",
        ),
    ] = None,
    storage: Annotated[
        StorageKind | None,
        Parameter(env_var="BDMS_STORAGE", help="The kind of storage elements: folders, or servers of Debian's XRootD."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Start a real Rucio on this machine: server, daemons, database, transfers, three storage elements.

    All its data are in its home, and remain for later starts. Without --detach, it runs until Ctrl-C. The database and
    the kind of storage are chosen at the first start.

    Example: `bdms up --detach`
    """
    from ctao_bdms import embedded

    output = Output(as_json=as_json)
    place = home_path(home)

    def step(text: str) -> None:
        output.line(f"[dim]{text}[/]")

    if detach:
        embedded.start(place, database_url=database_url, storage=storage, detach=True, on_step=step)
        return show(place, output)

    def ready(_: object) -> None:
        show(place, output)
        output.line("Ctrl-C stops it")

    embedded.run(place, database_url=database_url, storage=storage, on_step=step, on_ready=ready)
    return 0
