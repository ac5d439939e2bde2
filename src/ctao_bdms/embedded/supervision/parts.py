"""Run the parts of an embedded Rucio: start them in order, restart them when they die, stop them in order.

The supervisor imports Rucio once and forks the server and the daemons, which saves their import time at every start.
It waits for events only: the end of a child, the end of its owner, or a signal.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.embedded.database import inspection
from ctao_bdms.embedded.database.postgres import Postgres, socket_folder
from ctao_bdms.embedded.rucio import bootstrap
from ctao_bdms.embedded.rucio.configuration import write_configuration
from ctao_bdms.embedded.state import State, redacted
from ctao_bdms.embedded.supervision.child import Child, program
from ctao_bdms.embedded.supervision.ports import listen
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.embedded.supervision.restarts import Restarts
from ctao_bdms.embedded.supervision.services import DAEMONS, FOLLOWER, POSTGRES, SERVER, STORAGE, TRANSFERS, services
from ctao_bdms.embedded.topology import RSES
from ctao_bdms.embedded.xrootd.servers import XrootdServer, check_xrootd
from ctao_bdms.errors import EmbeddedError
from ctao_bdms.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.embedded.home import Home
    from ctao_bdms.embedded.supervision.events import Events
    from ctao_bdms.embedded.supervision.reports import Reports

__all__ = ["Parts"]

_LOG = logging.getLogger(__name__)
_PAUSE_S = 0.03
_READY_S = 60.0
_STOP_S = 20.0


def _import_rucio() -> None:
    """Import the modules of server and daemons, and close connections opened by the imports."""
    import gunicorn.workers.gthread  # noqa: F401
    from rucio.db.sqla.session import get_engine

    get_engine().dispose()


class Parts:
    """The parts of one home.

    Parameters
    ----------
    home
        The home, already locked.
    lock
        The file descriptor of the lock.
    """

    def __init__(self, home: Home, state: State, events: Events, reports: Reports, lock: int) -> None:
        self._home = home
        self._events = events
        self._reports = reports
        self._lock = lock
        self._children: dict[str, Child] = {}
        self._socket = home.socket
        self._postgres: Postgres | None = None
        if state.database_url is None:
            self._postgres = Postgres(home)
            self._socket = socket_folder(home, state.socket_folder)
        self._storage: list[XrootdServer] = []
        if state.storage == "xrootd":
            check_xrootd(home.path)
            self._storage = [
                XrootdServer.make(rse, home.path / "storage", home.xrootd / rse, state.storage_ports.get(rse, {}))
                for rse in RSES
            ]
        self._listener = listen(state.server_port)
        with listen(state.transfers_port) as transfers:
            transfers_port = transfers.getsockname()[1]
        self._state = attrs.evolve(
            state,
            server_port=self._listener.getsockname()[1],
            transfers_port=transfers_port,
            storage_ports={server.rse: server.ports for server in self._storage},
            socket_folder=None if self._socket == home.socket else str(self._socket),
        )
        self._remember(self._state)
        own = services(
            home,
            self._state,
            postgres=self._postgres,
            socket_folder=self._socket,
            listener=self._listener,
            storage=self._storage,
        )
        self._services = {service.name: service for service in own}
        self._on_storage = [service.name for service in own if service.name.startswith(STORAGE)]

    def _remember(self, state: State) -> None:
        """Save `state` for the next start."""
        self._state = state
        state.save(self._home.state_file)

    # -- the start

    def start(self) -> None:
        """Start all parts and wait until they answer.

        Raises
        ------
        EmbeddedError
            If a part does not start.
        Stopped
            After a stop signal, or when the owner has died.
        """
        write_configuration(self._home, self._state, self._socket)
        for part in [*self._on_storage, TRANSFERS]:
            self._launch(part)
        if self._postgres is not None:
            self._postgres.forget_the_dead(self._socket)
            if self._state.phase == "ready":
                self._launch(POSTGRES)
            else:
                self._reports.step("creating the database")
                self._postgres.discard()
                self._spawn("initdb", program(self._postgres.creation()))
        else:
            self._reports.step(f"connecting to {redacted(self._url)}")
            if (complaint := inspection.server_answers(self._url)) is not None:
                msg = f"the database {redacted(self._url)} does not answer: {complaint}"
                raise EmbeddedError(msg)
        self._reports.step("loading Rucio")
        _import_rucio()
        if self._postgres is not None and POSTGRES not in self._children:
            self._finish("initdb")
            self._launch(POSTGRES)
        if self._postgres is not None:
            self._await(POSTGRES)
        self._prepare_database()
        self._reports.step("starting the server and the daemons")
        self._launch(SERVER)
        self._launch(DAEMONS)
        for part in (SERVER, TRANSFERS, *self._on_storage):
            self._await(part)
        self._launch(FOLLOWER)
        self._record(ready=True)

    @property
    def _url(self) -> str:
        return self._state.sqlalchemy_url(self._socket)

    def _prepare_database(self) -> None:
        """Create Rucio's tables at the first start, update them at later starts."""
        if self._state.phase == "ready":
            self._spawn("refresh", lambda: bootstrap.refresh(self._home, self._state))
            self._finish("refresh")
            return
        self._reports.step("creating Rucio's tables")
        if self._state.phase == "building":
            inspection.drop_schema(self._url)
        elif inspection.holds_rucio(self._url):
            msg = f"the database {redacted(self._url)} already contains another Rucio, not that of {self._home.path}"
            raise EmbeddedError(msg)
        self._remember(attrs.evolve(self._state, phase="building"))
        self._spawn("build", lambda: bootstrap.build(self._home, self._state))
        self._finish("build")
        self._remember(attrs.evolve(self._state, phase="ready"))

    def _spawn(self, name: str, target: Callable[[], None], stop_signal: signal.Signals = signal.SIGTERM) -> None:
        """Start a child named `name`."""
        log = self._home.log / f"{name}.log"
        foreign = [self._lock, *self._reports.descriptors]
        self._children[name] = Child.start(name, target, log, stop_signal=stop_signal, foreign=foreign)
        self._record()

    def _launch(self, part: str) -> None:
        """Start a service."""
        service = self._services[part]
        self._spawn(part, service.prepare(), service.stop_signal)

    def _finish(self, name: str) -> None:
        """Wait for the end of a one-time child."""
        child = self._children[name]
        while not self._events.wait([child.handle], None):
            pass
        del self._children[name]
        if child.reap() != 0:
            msg = f"{name} failed: {child.last_words()}; see {child.log}"
            raise EmbeddedError(msg)

    def _await(self, part: str) -> None:
        """Wait until a started part answers.

        Raises
        ------
        EmbeddedError
            If it ends, or does not answer in time.
        """
        child, complaint = self._children[part], self._complaint(part)
        if complaint is None:
            return
        if self._has_ended(child):
            msg = f"{part} has ended: {child.last_words()}; see {child.log}"
            raise EmbeddedError(msg)
        msg = f"{part} does not answer: {complaint}; see {child.log}"
        raise EmbeddedError(msg)

    def _complaint(self, part: str) -> str | None:
        """Wait until a part answers; return None then, or the problem if it has ended or after a timeout."""
        child, deadline = self._children[part], time.monotonic() + _READY_S
        ask = self._services[part].ask
        while (complaint := ask()) is not None and time.monotonic() < deadline:
            if self._events.wait([child.handle], _PAUSE_S):
                break
        return complaint

    def _has_ended(self, child: Child) -> bool:
        return bool(self._events.wait([child.handle], 0))

    def _record(self, *, ready: bool = False) -> None:
        """Write the record of the running processes."""
        me = ProcessId.of(os.getpid())
        if me is not None:
            parts = {name: child.identity for name, child in self._children.items()}
            RunRecord(me, parts, ready).save(self._home.run_file)

    # -- the life

    def watch(self) -> None:
        """Restart parts that die, until a stop signal.

        Raises
        ------
        EmbeddedError
            If a part dies repeatedly.
        Stopped
            After a stop signal, or when the owner has died.
        """
        restarts = {part: Restarts() for part in self._services}
        started = dict.fromkeys(self._services, time.monotonic())
        due: dict[str, float] = {}
        while True:
            now = time.monotonic()
            for part in [part for part in self._services if due.get(part, now + 1) <= now]:
                del due[part]
                started[part] = now
                self._launch(part)
                self._complaint(part)  # if it has ended again, the next iteration handles it
                self._record(ready=not due)
            pause = min(due.values()) - now if due else None
            by_handle = {child.handle: part for part, child in self._children.items()}
            for handle in self._events.wait(by_handle, pause):
                part = by_handle[handle]
                if part not in self._children:
                    continue  # it was stopped because of the database
                code = self._children.pop(part).reap()
                _LOG.error("%s has ended with code %d", part, code)
                delay = restarts[part].pause(time.monotonic() - started[part])
                if delay is None:
                    msg = f"{part} ends repeatedly; see {self._home.log / part}.log"
                    raise EmbeddedError(msg)
                due[part] = time.monotonic() + delay
                if part == POSTGRES:
                    killed = self._kill([name for name, each in self._services.items() if each.on_database])
                    due |= dict.fromkeys(killed, due[part])

    def _kill(self, parts: list[str]) -> list[str]:
        """Kill those of `parts` that run, because their database connections are lost. Return their names."""
        killed = [part for part in parts if part in self._children]
        for part in killed:
            child = self._children.pop(part)
            child.signal(signal.SIGKILL)
            child.wait(None)
            child.reap()
        return killed

    # -- the end

    def stop(self) -> None:
        """Stop all parts, the database last, and remove the run record."""
        first = [child for name, child in self._children.items() if name != POSTGRES]
        for child in first:
            child.signal(child.stop_signal)
        for child in first:
            child.stop(_STOP_S)
        if POSTGRES in self._children:
            self._children[POSTGRES].stop(_STOP_S)
        self._children.clear()
        self._listener.close()
        for server in self._storage:
            server.close()
        if self._postgres is not None and self._socket.is_dir():
            shutil.rmtree(self._socket)
            self._remember(attrs.evolve(self._state, socket_folder=None))
        self._home.run_file.unlink(missing_ok=True)
