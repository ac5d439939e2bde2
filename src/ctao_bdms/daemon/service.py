"""Run the daemon as a process: signals, lease, journal, workers, reload, HTTP."""

from __future__ import annotations

import logging
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.causes import Cause
from ctao_bdms.daemon.backoff import Backoff
from ctao_bdms.daemon.clocks import Clocks
from ctao_bdms.daemon.composition import Resources, build
from ctao_bdms.daemon.config import contradictions, merge_reloadable, restart_needed
from ctao_bdms.daemon.context import StageContext
from ctao_bdms.daemon.draining import drain
from ctao_bdms.daemon.face import CONTENT_TYPE, Metrics, Notifier, StatusServer, configure
from ctao_bdms.daemon.heartbeat import BEAT_S
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.daemon.open_scans import open_scans
from ctao_bdms.daemon.signals import signal_handlers
from ctao_bdms.daemon.starting import retry_at_start
from ctao_bdms.errors import InvalidSettingsError
from ctao_bdms.journal import FileState, Journal
from ctao_bdms.processes import process_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from ctao_bdms.daemon.composition import Daemon
    from ctao_bdms.daemon.config import Settings
    from ctao_bdms.workers import Scans

__all__ = ["Service"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Service:
    """The process of the ingestion daemon.

    Parameters
    ----------
    reload
        Reads the settings again, for SIGHUP.
    notify
        The value of ``NOTIFY_SOCKET``; empty without systemd.
    """

    def __init__(self, settings: Settings, *, reload: Callable[[], Settings], notify: str = "") -> None:
        self.settings = settings
        self._reload = reload
        self._notifier = Notifier(notify)
        self._clocks = Clocks()
        self._wake = threading.Event()
        self._is_reload_wanted = False
        self._metrics = Metrics(states=FileState, causes=Cause)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises
        ------
        JournalLostError
            If the journal was removed or replaced.
        LeaseHeldError
            If another daemon is running.
        LeaseLostError
            If another daemon has taken over the lease.
        """
        settings = self.settings
        configure(settings.log, sys.stderr)
        with ExitStack() as stack:
            lease = stack.enter_context(self._retry_at_start(self._claim))
            journal = stack.enter_context(self._retry_at_start(lambda: self._journal(lease)))
            context = StageContext(
                settings=lambda: self.settings,
                journal=journal,
                metrics=self._metrics,
                clocks=self._clocks,
                jitter=random.random,
                wake=self._wake,
            )
            resources = self._resources(stack, lease)
            daemon = build(context, resources, on_turn=lambda: self._turned(resources.scans))
            stack.enter_context(self._server(daemon))
            stop = daemon.loop.stop
            with signal_handlers({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: self._want_reload}):
                self._notifier.ready()
                _log.info("working: inbox %s, lease %d", ", ".join(map(str, settings.inbox_roots)), lease.token)
                daemon.loop.run()
                self._notifier.stopping()
                drain(daemon, limit_s=self.settings.stop.drain_s, clocks=self._clocks)
            _log.info("stopped")

    def _claim(self) -> Lease:
        """Return the lease when no other process holds it."""
        settings = self.settings
        settings.state.folder.mkdir(parents=True, exist_ok=True)
        return Lease.claim(
            settings.lease,
            beat_every_s=min(BEAT_S, settings.state.lease_silent_s / 4),
            silent_after_s=settings.state.lease_silent_s,
            pause=self._pause,
        )

    def _journal(self, lease: Lease) -> Journal:
        return Journal(
            self.settings.journal,
            by=process_name("ingestd"),
            now=self._clocks.now,
            fence=lease.token,
            longest_wait_s=lambda: self.settings.retries.cap_s,
        )

    def _retry_at_start(self, make: Callable[[], _T]) -> _T:
        return retry_at_start(make, backoff=Backoff.of(self.settings.retries), jitter=random.random, pause=self._pause)

    def _pause(self, seconds: float) -> None:
        """Wait during the start, and extend the timeout of systemd."""
        self._notifier.waiting("waits for what the start needs", seconds)
        self._clocks.sleep(seconds)

    def _resources(self, stack: ExitStack, lease: Lease) -> Resources:
        """Return the resources of the daemon; `stack` closes them."""
        return Resources(
            lease=lease,
            notifier=self._notifier,
            scans=stack.enter_context(open_scans(self.settings.workers)),
            connect=self._connect,
            registering=_one_thread(stack, "registering"),
            replicating=_one_thread(stack, "replicating"),
        )

    def _connect(self) -> RucioCatalogue:
        """Connect to the archive, and count its responses."""
        catalogue = RucioCatalogue.connect(self.settings.rucio.config, timeout_s=self.settings.rucio.timeout_s)

        def count(response: requests.Response) -> None:
            self._metrics.request(response.status_code)

        catalogue.count_requests(count)
        _log.info("connected: %r", catalogue)
        return catalogue

    def _server(self, daemon: Daemon) -> StatusServer:
        def ready() -> Mapping[str, str]:
            is_open = daemon.circuits.open
            low, hidden = daemon.report.low_on_space, daemon.report.hidden_folders
            return {
                **{str(cause): "it fails and is probed" if cause in is_open else "" for cause in _CONDITIONS},
                "inbox": f"{hidden} folders cannot be looked at; /status says which and why" if hidden else "",
                "space": f"too little on {' and '.join(low)}" if low else "",
            }

        return StatusServer(
            lambda: self.settings.http,
            metrics=lambda: (self._metrics.exposition(), CONTENT_TYPE),
            heartbeat_age_s=lambda: daemon.heartbeat.age_s,
            ready=ready,
            status=lambda: daemon.report.snapshot,
            address_file=self.settings.address_file,
        )

    def _turned(self, scans: Scans) -> None:
        """Update metrics and settings at the end of a turn."""
        self._metrics.workers_lost(scans.lost)
        if self._is_reload_wanted:
            self._is_reload_wanted = False
            self._take_over()

    def _want_reload(self) -> None:
        """Request a reload at the end of the next turn: a signal handler must not block."""
        self._is_reload_wanted = True
        self._wake.set()

    def _take_over(self) -> None:
        """Reload the settings, and apply those that a running daemon can change."""
        try:
            new = self._reload()
            merged = merge_reloadable(self.settings, new)
            if said := contradictions(merged):
                raise InvalidSettingsError(None, [f"{sentence}, until it is started anew" for sentence in said])
        except (InvalidSettingsError, OSError) as error:
            _log.error("the settings stay as they are: %s", error)
            return
        if keys := restart_needed(self.settings, new):
            _log.warning("these settings need a restart: %s", ", ".join(keys))
        self.settings = merged
        configure(merged.log, sys.stderr)
        _log.info("settings taken over")


def _one_thread(stack: ExitStack, name: str) -> ThreadPoolExecutor:
    """Return a single thread for requests to the archive."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
    stack.callback(executor.shutdown, wait=False, cancel_futures=True)
    return executor


_CONDITIONS = (Cause.CATALOGUE, Cause.CREDENTIALS, Cause.STORAGE, Cause.MACHINE, Cause.JOURNAL)
