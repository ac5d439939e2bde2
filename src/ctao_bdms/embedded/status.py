"""Read the status of an embedded Rucio from its home."""

from __future__ import annotations

from pathlib import Path

import attrs

from ctao_bdms.embedded.home import Home
from ctao_bdms.embedded.rucio.protocols import storage_urls
from ctao_bdms.embedded.state import State, redacted
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.embedded.topology import ACCOUNTS, RSES

__all__ = ["Component", "InstanceStatus", "status"]


@attrs.frozen
class Component:
    """A process of an embedded Rucio."""

    name: str
    pid: int
    alive: bool


@attrs.frozen
class InstanceStatus:
    """The status of an embedded Rucio.

    Attributes
    ----------
    running
        True if it has answered, and its supervisor and all its parts are alive.
    supervisor_pid
        The process id of the supervisor; None if there is none.
    parts
        The other processes.
    server_url, transfers_url
        The URLs of Rucio's REST server and of the transfer service; None before the first start.
    database
        The URL of the database, without its password; None before the first start.
    client_configs
        The ``rucio.cfg`` of each account.
    rses
        The storage elements and their folders.
    storage_urls
        The URLs of the servers of the storage elements, by scheme; empty if they are folders.
    """

    home: Path
    running: bool
    supervisor_pid: int | None
    parts: tuple[Component, ...]
    server_url: str | None
    transfers_url: str | None
    database: str | None
    client_configs: dict[str, Path]
    rses: dict[str, Path]
    storage_urls: dict[str, dict[str, str]]


def status(home: str | Path) -> InstanceStatus:
    """Return the status of the embedded Rucio in `home`; a home that does not exist is not running.

    Raises
    ------
    EmbeddedError
        If the home's state is damaged.
    """
    place = Home(home)
    state, record = State.load(place.state_file), RunRecord.load(place.run_file)
    known = state is not None and state.server_port != 0
    parts: tuple[Component, ...] = ()
    supervisor: int | None = None
    running = False
    if record is not None:
        parts = tuple(Component(name, process.pid, process.alive) for name, process in record.parts.items())
        supervisor = record.supervisor.pid if record.supervisor.alive else None
        running = record.ready and supervisor is not None and all(part.alive for part in parts)
    socket = place.socket if state is None or state.socket_folder is None else Path(state.socket_folder)
    return InstanceStatus(
        home=place.path,
        running=running,
        supervisor_pid=supervisor,
        parts=parts,
        server_url=state.server_url if state is not None and known else None,
        transfers_url=state.transfers_url if state is not None and known else None,
        database=redacted(state.sqlalchemy_url(socket)) if state is not None and known else None,
        client_configs={account: place.client_config(account) for account in ACCOUNTS},
        rses={name: place.storage(name) for name in RSES},
        storage_urls={} if state is None else storage_urls(state),
    )
