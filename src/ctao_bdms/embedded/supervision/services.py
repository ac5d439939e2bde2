"""The services of an embedded Rucio, in the order of their start."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.embedded.database import inspection
from ctao_bdms.embedded.supervision.child import program

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.embedded.database.postgres import Postgres
    from ctao_bdms.embedded.home import Home
    from ctao_bdms.embedded.state import State
    from ctao_bdms.embedded.xrootd.servers import XrootdServer

__all__ = ["DAEMONS", "FOLLOWER", "POSTGRES", "SERVER", "STORAGE", "Service", "TRANSFERS", "services"]

POSTGRES, TRANSFERS, SERVER, DAEMONS, FOLLOWER = "postgres", "transfers", "server", "daemons", "follower"
#: The prefix of the names of storage servers.
STORAGE = "xrootd-"
_ANSWER_S = 2.0


def _no_complaint() -> str | None:
    return None


@attrs.frozen(kw_only=True)
class Service:
    """A permanent part, which is restarted when it dies.

    Attributes
    ----------
    name
        Its name in messages and logs.
    prepare
        Returns the target of the child process; called at each start.
    ask
        Returns None if the service answers now, else the problem.
    stop_signal
        The signal that stops it.
    on_database
        True if it is stopped when the database has ended.
    """

    name: str
    prepare: Callable[[], Callable[[], None]]
    ask: Callable[[], str | None] = _no_complaint
    stop_signal: signal.Signals = signal.SIGTERM
    on_database: bool = False


def services(
    home: Home,
    state: State,
    *,
    postgres: Postgres | None,
    socket_folder: Path,
    listener: socket.socket,
    storage: Sequence[XrootdServer],
) -> list[Service]:
    """Return the services of a home in the order of their start.

    Parameters
    ----------
    postgres
        Its own database; None if it uses another.
    socket_folder
        The folder of its own database's socket.
    listener
        The socket of the REST server.
    storage
        The servers of the storage elements; empty if they are folders.
    """
    found = [
        *(Service(name=f"{STORAGE}{server.rse}", prepare=server.prepare, ask=server.ask) for server in storage),
        Service(name=TRANSFERS, prepare=lambda: _transfers(home, state), ask=lambda: _accepts(state.transfers_port)),
        Service(name=SERVER, prepare=lambda: _server(listener), ask=lambda: _ping(state.server_port), on_database=True),
        Service(name=DAEMONS, prepare=lambda: _run_daemons, on_database=True),
        Service(name=FOLLOWER, prepare=lambda: _module("ctao_bdms.embedded.rucio.follower", str(home.client_config()))),
    ]
    if postgres is None:
        return found
    own = Service(
        name=POSTGRES,
        prepare=lambda: program(postgres.service(socket_folder)),
        ask=lambda: inspection.server_answers(state.sqlalchemy_url(socket_folder)),
        stop_signal=signal.SIGINT,
    )
    return [own, *found]


def _module(*arguments: str) -> Callable[[], None]:
    """Return a child's target that runs one of our modules with this Python."""
    return program([sys.executable, "-m", *arguments])


def _transfers(home: Home, state: State) -> Callable[[], None]:
    files = ["--database", str(home.transfers_database), "--root", str(home.path / "storage")]
    return _module("ctao_bdms.embedded.transfers", "--port", str(state.transfers_port), *files)


def _server(listener: socket.socket) -> Callable[[], None]:
    def serve() -> None:
        from ctao_bdms.embedded.rucio import rest

        rest.serve(listener)

    return serve


def _run_daemons() -> None:
    from ctao_bdms.embedded.rucio.daemons import run_daemons

    raise SystemExit(run_daemons())


def _ping(port: int) -> str | None:
    """Return None if Rucio's server answers, else the problem."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/ping")
        answer = connection.getresponse()
        return None if answer.status == http.HTTPStatus.OK else f"HTTP {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


def _accepts(port: int) -> str | None:
    """Return None if a server listens on `port`, else the problem."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S).close()
    except OSError as error:
        return str(error)
    return None
