"""Report the state of the daemon, and compact its journal."""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from ctao_bdms.causes import Cause
from ctao_bdms.disk_space import disk_space
from ctao_bdms.journal import FileState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ctao_bdms.daemon.backoff import Circuits
    from ctao_bdms.daemon.context import StageContext
    from ctao_bdms.daemon.stages.discover import DiscoverStage
    from ctao_bdms.daemon.stages.register import RegisterStage
    from ctao_bdms.daemon.stages.scan import ScanStage
    from ctao_bdms.journal import Tally

__all__ = ["ReportStage"]

_log = logging.getLogger(__name__)

_SHOW_S, _COMPACT_S = 1.0, 3600.0
_NIGHTS = 7
_SHOWN = 20


class ReportStage:
    """Update status and metrics every second, and compact the journal every hour."""

    name: ClassVar[str] = "report"
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.JOURNAL})

    def __init__(
        self,
        context: StageContext,
        *,
        discover: DiscoverStage,
        scan: ScanStage,
        register: RegisterStage,
        circuits: Circuits,
        lease_token: int,
    ) -> None:
        self._settings = context.settings
        self._journal = context.journal
        self._metrics = context.metrics
        self._now, self._monotonic = context.clocks.now, context.clocks.monotonic
        self._discover = discover
        self._scan = scan
        self._register = register
        self._circuits = circuits
        self._lease_token = lease_token
        self._since = self._now()
        self._next_s = self._next_oldest_s = self._monotonic()
        self._next_compact_s = self._next_s + _COMPACT_S
        self._oldest_open: dt.datetime | None = None
        #: The state at the last step, ready for JSON; replaced as a whole, so that any thread may read it.
        self.snapshot: Mapping[str, Any] = {}
        #: The places with too little free space.
        self.low_on_space: tuple[str, ...] = ()
        #: The number of inbox folders that cannot be listed.
        self.hidden_folders = 0

    def due_in_s(self) -> float:
        """Return the time until the next update, in seconds."""
        return self._next_s - self._monotonic()

    def step(self, *, probe: bool) -> None:
        """Update status and metrics."""
        self._next_s = self._monotonic() + _SHOW_S
        self._journal.demand_file()  # an idle daemon writes nothing for hours
        free = self._space()
        tallies = self._journal.tallies()
        waiting = {cause: tally.files for cause, tally in self._journal.waiting().items()}
        oldest = self._oldest(tallies[FileState.FOUND] + tallies[FileState.SCANNED])
        registrar = self._register.registrar
        open_blocks = () if registrar is None else registrar.open_blocks
        self._metrics.queue(
            {state: tally.files for state, tally in tallies.items()},
            waiting=waiting,
            oldest_waiting_s=None if oldest is None else oldest.timestamp(),
            open_blocks=len(open_blocks),
        )
        self.snapshot = {
            "time": self._now().isoformat(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": self._since.isoformat(),
            "lease": self._lease_token,
            "version": version("ctao-bdms"),
            "files": {state.value: {"files": t.files, "size_bytes": t.size_bytes} for state, t in tallies.items()},
            "waiting": waiting,
            "outages": {str(cause): self._circuits.failures(cause) for cause in self._circuits.open},
            "next_probe_in_s": self._circuits.next_probe_in_s(),
            "inbox": self._inbox(),
            "reading": self._scan.running,
            "workers": self._settings().workers.number,
            "batch_files": None if registrar is None else registrar.batches.size.files,
            "open_blocks": [
                {"block": block.did.name, "files": block.n_files, "size_bytes": block.size_bytes}
                for block in open_blocks
            ],
            "oldest_waiting": None if oldest is None else oldest.isoformat(),
            "totals": self._metrics.totals(),
            "nights": {
                str(night): {state.value: tally.files for state, tally in states.items()}
                for night, states in list(self._journal.nights().items())[-_NIGHTS:]
            },
            "journal_bytes": self._journal.size_bytes,
            "free_bytes": free,
            "low_on_space": self.low_on_space,
        }
        if self._monotonic() >= self._next_compact_s:
            self._next_compact_s = self._monotonic() + _COMPACT_S
            count = self._journal.compact(thin_before=self._now() - dt.timedelta(days=self._settings().state.keep_days))
            _log.info("journal: %d entries of complete nights made smaller", count)

    def _space(self) -> dict[str, int]:
        """Measure and report the free space."""
        settings = self._settings()
        places: dict[str, Path] = {"storage": settings.storage.root, "state": settings.state.folder}
        free = {}
        for name, path in places.items():
            with suppress(OSError):  # the stages that use the place report the error
                if (space := disk_space(path)) is not None:
                    free[name] = space.free_bytes
        self.low_on_space = tuple(name for name, left in free.items() if left < settings.storage.low_disk_bytes)
        self._metrics.space(
            journal_bytes=self._journal.size_bytes, free_bytes=free, low_disk_bytes=settings.storage.low_disk_bytes
        )
        return free

    def _inbox(self) -> dict[str, Any]:
        """Report the problems in the inbox, at most the first ones."""
        watch, troubles = self._discover.watch, self._discover.watch.troubles
        self.hidden_folders = troubles.n_hidden
        self._metrics.inbox(
            hidden_folders=troubles.n_hidden, odd_names=troubles.n_odd, waiting_triggers=watch.n_waiting
        )
        return {
            "folders": watch.folders,
            "triggers": watch.known,
            "waiting_triggers": watch.n_waiting,
            "hidden_folders": troubles.n_hidden,
            "waiting": {str(path): why for path, why in watch.waiting(_SHOWN).items()},
            "errors": {str(path): why for path, why in troubles.first(_SHOWN).items()},
        }

    def _oldest(self, open_files: Tally) -> dt.datetime | None:
        """Return the time of the oldest trigger whose file is not registered.

        The query is repeated only so often that it takes at most a twentieth of the time.
        """
        begin_s = self._monotonic()
        if not open_files.files:
            self._oldest_open = None
        elif begin_s >= self._next_oldest_s:
            self._oldest_open = self._journal.oldest_open()
            self._next_oldest_s = begin_s + 20 * (self._monotonic() - begin_s)
        return self._oldest_open
