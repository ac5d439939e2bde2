"""The daemon put together: signals, lease, journal, workers, stages, and what it shows."""

from __future__ import annotations

import datetime as dt
import logging
import os
import random
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.daemon.backoff import Backoff, Circuits
from ctao_bdms.daemon.connection import Connection
from ctao_bdms.daemon.consistency import contradictions, restart_needed, taken_over
from ctao_bdms.daemon.coordinator import Coordinator
from ctao_bdms.daemon.copying import Copying, Review
from ctao_bdms.daemon.description import algorithms_of, description
from ctao_bdms.daemon.draining import drain
from ctao_bdms.daemon.entering import Entering
from ctao_bdms.daemon.http import StatusServer
from ctao_bdms.daemon.intake import Intake
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.daemon.logs import configure
from ctao_bdms.daemon.metrics import CONTENT_TYPE, Metrics
from ctao_bdms.daemon.notify import Notifier
from ctao_bdms.daemon.reading import Reading
from ctao_bdms.daemon.recovery import begin
from ctao_bdms.daemon.scans import scans_of
from ctao_bdms.daemon.signals import handled
from ctao_bdms.daemon.starting import patiently
from ctao_bdms.daemon.upkeep import Upkeep
from ctao_bdms.errors import InvalidSettingsError
from ctao_bdms.ingest import Watch
from ctao_bdms.ingest.causes import Cause
from ctao_bdms.ingest.journal import FileState, Journal
from ctao_bdms.replication import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from ctao_bdms.daemon.settings import Settings

__all__ = ["Service"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: How often the lease is written, in seconds, unless it would count as silent then.
_BEAT_S = 5.0


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Service:
    """The ingestion daemon.

    Parameters
    ----------
    settings
        Its settings.
    reload
        Reads the settings anew, for SIGHUP.
    notify
        The address at which systemd listens; empty if it does not.
    """

    def __init__(self, settings: Settings, *, reload: Callable[[], Settings], notify: str = "") -> None:
        self.settings = settings
        self._reload = reload
        self._notifier = Notifier(notify)
        self._is_reload_wanted = False
        self._beat_s = time.monotonic()
        self._metrics = Metrics(states=FileState, causes=Cause)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises
        ------
        LeaseHeldError
            If another daemon works already.
        LeaseLostError
            If another daemon has taken the place of this one.
        """
        settings = self.settings
        configure(settings.log, sys.stderr)
        root = Path(os.path.realpath(settings.storage.root))
        with ExitStack() as stack:
            lease = stack.enter_context(self._patiently(self._claim))
            journal = stack.enter_context(self._patiently(lambda: self._journal(lease)))
            scans = stack.enter_context(scans_of(settings.workers))
            policy = Policy.load(settings.policy.file)
            connection = Connection(self._connect, lease.check)
            circuits = Circuits(self._backoff(), monotonic=time.monotonic, dice=random.random)
            intake = Intake(
                Watch(
                    settings.inbox_roots,
                    root,
                    full_walk_s=settings.inbox.full_walk_interval_s,
                    settle_s=settings.inbox.settle_s,
                ),
                journal,
                interval_s=lambda: self.settings.inbox.poll_interval_s,
                quarantine=settings.quarantine,
                metrics=self._metrics,
                monotonic=time.monotonic,
                busy=lambda: entering.busy,
            )
            reading = Reading(
                journal,
                scans,
                workers=settings.workers.number,
                algorithms=lambda entry: algorithms_of(entry, sidecars=self.settings.inbox.sidecars),
                order=lambda: self.settings.queue.order,
                circuits=circuits,
                backoff=self._backoff,
                wake=lambda: coordinator.wake(),
                metrics=self._metrics,
                now=_now,
                monotonic=time.monotonic,
                dice=random.random,
            )
            registering, copying_aside = self._aside(stack, "registering"), self._aside(stack, "copying")
            entering = Entering(
                journal,
                lambda: begin(
                    self.settings,
                    connection,
                    journal,
                    policy=policy,
                    now=_now,
                    on_batch=self._metrics.batch,
                    alive=lambda: self._goes_on(coordinator),
                ),
                nameless=reading.nameless,
                root=root,
                describe=lambda file, facts: description(file, facts, self.settings),
                batches=lambda: self.settings.batches,
                order=lambda: self.settings.queue.order,
                backoff=self._backoff,
                metrics=self._metrics,
                now=_now,
                monotonic=time.monotonic,
                dice=random.random,
                aside=registering,
                wake=lambda: coordinator.wake(),
                look_again=intake.watch.look_again,
            )
            copying = Copying(
                Connection(self._connect, lease.check),
                journal,
                entering.close,
                interval_s=settings.replication.reconcile_interval_s,
                patience=dt.timedelta(seconds=settings.replication.patience_s),
                review=Review(
                    site=settings.storage.site,
                    interval_s=settings.replication.review_interval_s,
                    days=settings.replication.review_days,
                ),
                policy=policy,
                metrics=self._metrics,
                now=_now,
                monotonic=time.monotonic,
                aside=copying_aside,
                wake=lambda: coordinator.wake(),
            )
            upkeep = Upkeep(
                lambda: self.settings,
                journal,
                intake,
                reading,
                entering,
                circuits,
                token=lease.token,
                metrics=self._metrics,
                now=_now,
                monotonic=time.monotonic,
            )
            coordinator = Coordinator(
                (upkeep, reading, entering, copying, intake),
                lease=lease,
                circuits=circuits,
                journal=journal,
                metrics=self._metrics,
                on_turn=lambda: self._turned(scans.lost, upkeep, circuits),
            )
            stack.enter_context(self._server(circuits, upkeep))
            stop, reload = coordinator.stop, lambda: self._want_reload(coordinator)
            with handled({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}):
                self._notifier.ready()
                _log.info("working: inbox %s, lease %d", ", ".join(map(str, settings.inbox_roots)), lease.token)
                coordinator.run()
                self._notifier.stopping()
                drain(coordinator, reading, entering, copying, limit_s=self.settings.stop.drain_s)
            _log.info("stopped")

    def _claim(self) -> Lease:
        """Return the lease, as soon as nobody else holds it."""
        settings = self.settings
        settings.state.folder.mkdir(parents=True, exist_ok=True)
        return Lease.claim(
            settings.lease,
            beat_every_s=min(_BEAT_S, settings.state.lease_silent_s / 4),
            silent_after_s=settings.state.lease_silent_s,
            pause=self._pause,
        )

    def _journal(self, lease: Lease) -> Journal:
        """Return the journal, open for writing."""
        return Journal(
            self.settings.journal,
            by=f"ingestd {os.getpid()}@{socket.gethostname()}",
            now=_now,
            fence=lease.token,
            longest_wait_s=lambda: self.settings.retries.cap_s,
        )

    def _patiently(self, make: Callable[[], _T]) -> _T:
        """Return what `make` makes, as soon as it can be made."""
        return patiently(make, backoff=self._backoff(), dice=random.random, pause=self._pause)

    def _pause(self, seconds: float) -> None:
        """Wait during the start, and have systemd wait, too."""
        self._notifier.waiting("waits for what the start needs", seconds)
        time.sleep(seconds)

    @staticmethod
    def _aside(stack: ExitStack, name: str) -> ThreadPoolExecutor:
        """Return one thread that asks the archive while the loop goes on."""
        aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        stack.callback(aside.shutdown, wait=False, cancel_futures=True)
        return aside

    def _backoff(self) -> Backoff:
        return Backoff(first_s=self.settings.retries.first_s, cap_s=self.settings.retries.cap_s)

    def _connect(self) -> RucioCatalogue:
        """Connect to the archive, and count what it answers."""
        catalogue = RucioCatalogue.connect(self.settings.rucio.config, timeout_s=self.settings.rucio.timeout_s)

        def count(response: requests.Response) -> None:
            self._metrics.request(response.status_code)

        catalogue.count_requests(count)
        _log.info("connected: %r", catalogue)
        return catalogue

    def _server(self, circuits: Circuits, upkeep: Upkeep) -> StatusServer:
        """Return what shows how things are."""
        http = self.settings.http

        def ready() -> Mapping[str, str]:
            low, hidden = upkeep.low_on_space, upkeep.hidden_folders
            return {
                **{str(cause): "it fails and is probed" if cause in circuits.open else "" for cause in _CONDITIONS},
                "inbox": f"{hidden} folders cannot be looked at; /status says which and why" if hidden else "",
                "space": f"too little on {' and '.join(low)}" if low else "",
            }

        return StatusServer(
            http.address,
            http.port,
            metrics=lambda: (self._metrics.exposition(), CONTENT_TYPE),
            heartbeat_age_s=lambda: time.monotonic() - self._beat_s,
            heartbeat_limit_s=lambda: self.settings.http.heartbeat_s,
            ready=ready,
            status=lambda: upkeep.snapshot,
            address_file=self.settings.address_file,
        )

    def _turned(self, lost: int, upkeep: Upkeep, circuits: Circuits) -> None:
        """Take note of a turn of the loop."""
        self._show_life()
        self._metrics.workers_lost(lost)
        files = upkeep.snapshot.get("files", {})
        self._notifier.alive(", ".join(f"{state['files']} {name}" for name, state in files.items() if state["files"]))
        if self._is_reload_wanted:
            self._is_reload_wanted = False
            self._take_over(circuits)

    def _goes_on(self, coordinator: Coordinator) -> None:
        """Take note, in the midst of a long step, that the loop does not hang."""
        coordinator.beat()
        if time.monotonic() - self._beat_s >= _BEAT_S:
            self._show_life()
            self._notifier.alive("ends what a predecessor has begun")

    def _show_life(self) -> None:
        self._beat_s = time.monotonic()
        self._metrics.beat(time.time())

    def _want_reload(self, coordinator: Coordinator) -> None:
        """Have the settings read anew at the end of the next turn."""
        self._is_reload_wanted = True
        coordinator.wake()

    def _take_over(self, circuits: Circuits) -> None:
        """Read the settings anew, and take over what a running daemon can."""
        try:
            new = self._reload()
            merged = taken_over(self.settings, new)
            if said := contradictions(merged):
                raise InvalidSettingsError(None, [f"{sentence}, until it is started anew" for sentence in said])
        except (InvalidSettingsError, OSError) as error:
            _log.error("the settings stay as they are: %s", error)
            return
        if keys := restart_needed(self.settings, new):
            _log.warning("these settings need a restart: %s", ", ".join(keys))
        self.settings = merged
        circuits.backoff = self._backoff()
        configure(merged.log, sys.stderr)
        _log.info("settings taken over")


_CONDITIONS = (Cause.CATALOGUE, Cause.CREDENTIALS, Cause.STORAGE, Cause.MACHINE, Cause.JOURNAL)
