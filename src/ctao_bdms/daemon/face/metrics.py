"""What the daemon counts: one method for each thing that happens to it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

from ctao_bdms.daemon.face.families import FAMILIES, Kind
from ctao_bdms.errors import MissingExtraError
from ctao_bdms.model import DefectKind

try:
    import prometheus_client
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
except ModuleNotFoundError as missing:
    raise MissingExtraError("daemon", "prometheus_client") from missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CONTENT_TYPE", "Metrics"]

#: The type of what `Metrics.exposition` returns, for the header of an HTTP answer.
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# The time at which a counter began doubles the number of series, and nobody asks for it.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
_STATUSES = ("2xx", "3xx", "4xx", "5xx", "none")


class Metrics:
    """The metrics of one daemon.

    Labels whose values are known are there from the start, with 0: a rate sees their first increase.

    Parameters
    ----------
    registry
        Where the metrics are registered; by default one of their own.
    states
        The states of files.
    causes
        The causes of transient failures.

    Examples
    --------
    >>> from ctao_bdms.daemon.face.metrics import Metrics
    >>> metrics = Metrics(states=["found", "registered"])
    >>> metrics.registered(size_bytes=1000, lag_s=2.5, now_s=1.8e9)
    >>> b"bdms_ingestd_registered_bytes_total 1000.0" in metrics.exposition()
    True
    """

    def __init__(
        self, registry: CollectorRegistry | None = None, *, states: Iterable[str] = (), causes: Iterable[str] = ()
    ) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        #: Number of files by state, as `queue` was last told.
        self.files: Mapping[str, int] = {}
        self._states: set[str] = set()
        self._causes: set[str] = set()
        for name, family in FAMILIES.items():
            if family.kind is Kind.COUNTER:
                self._counters[name] = Counter(family.name, family.help, family.labels, registry=self.registry)
            elif family.kind is Kind.GAUGE:
                self._gauges[name] = Gauge(family.name, family.help, family.labels, registry=self.registry)
            elif family.kind is Kind.HISTOGRAM:
                self._histograms[name] = Histogram(
                    family.name, family.help, registry=self.registry, buckets=family.buckets
                )
            else:
                info = Info(family.name.removesuffix("_info"), family.help, registry=self.registry)
                info.info({"version": version("ctao-bdms"), "python": platform.python_version()})
        self._begin(states, causes)

    def _begin(self, states: Iterable[str], causes: Iterable[str]) -> None:
        """Show 0 for what has not happened yet."""
        for state in states:
            self._files(state, 0)
        for cause in causes:
            self._gauges["circuit_open"].labels(cause)
            self._wait(cause, 0)
            self._counters["retries_total"].labels(cause)
        for kind in ("folder", "name"):
            self._gauges["inbox_errors"].labels(kind)
        for name, values in (
            ("quarantined_files_total", tuple(DefectKind)),
            ("catalogue_requests_total", _STATUSES),
        ):
            for value in values:
                self._counters[name].labels(str(value))

    def _files(self, state: str, number: int) -> None:
        self._states.add(state)
        self._gauges["files"].labels(state).set(number)

    def _wait(self, cause: str, number: int) -> None:
        self._causes.add(cause)
        self._gauges["waiting_files"].labels(cause).set(number)

    def exposition(self) -> bytes:
        """Return all metrics as Prometheus reads them, in the format of `CONTENT_TYPE`."""
        return prometheus_client.generate_latest(self.registry)

    def totals(self) -> dict[str, float]:
        """Return what was done since the start, and how many workers were lost, by the name of the counter."""
        totals = {
            name: self.registry.get_sample_value(f"bdms_ingestd_{name}")
            for name in (
                "registered_bytes_total",
                "scanned_bytes_total",
                "replicated_bytes_total",
                "workers_restarted_total",
            )
        }
        counts = {
            f"{name}_files_total": self.registry.get_sample_value(f"bdms_ingestd_{family}_seconds_count")
            for name, family in (
                ("registered", "registration_lag"),
                ("scanned", "scan"),
                ("replicated", "replication_lag"),
            )
        }
        return {name: value or 0.0 for name, value in (totals | counts).items()}

    def registered(self, *, size_bytes: int, lag_s: float, now_s: float) -> None:
        """Take note of a file that was registered, `lag_s` after its trigger, at `now_s` since the epoch."""
        self._counters["registered_bytes_total"].inc(size_bytes)
        self._histograms["registration_lag_seconds"].observe(max(lag_s, 0.0))
        self._gauges["last_success_timestamp_seconds"].set(now_s)

    def replicated(self, *, size_bytes: int, lag_s: float) -> None:
        """Take note of a file that has all its copies, `lag_s` after its trigger."""
        self._counters["replicated_bytes_total"].inc(size_bytes)
        self._histograms["replication_lag_seconds"].observe(max(lag_s, 0.0))

    def scanned(self, *, size_bytes: int, duration_s: float) -> None:
        """Take note of a file that was read."""
        self._counters["scanned_bytes_total"].inc(size_bytes)
        self._histograms["scan_seconds"].observe(duration_s)

    def batch(self, files: int) -> None:
        """Take note of a request that registered `files` files."""
        self._histograms["batch_files"].observe(files)

    def request(self, status: int | None) -> None:
        """Take note of an answer of the catalogue; None if none came."""
        self._counters["catalogue_requests_total"].labels("none" if status is None else f"{status // 100}xx").inc()

    def retried(self, cause: str) -> None:
        """Take note of an attempt after a failure by `cause`."""
        self._counters["retries_total"].labels(cause).inc()

    def circuit(self, cause: str, *, is_open: bool) -> None:
        """Say whether `cause` holds work up."""
        self._gauges["circuit_open"].labels(cause).set(is_open)

    def quarantined(self, reason: DefectKind | str) -> None:
        """Take note of a file that went to quarantine, by the kind of its first defect."""
        self._counters["quarantined_files_total"].labels(str(reason)).inc()

    def workers_lost(self, total: int) -> None:
        """Show how many workers were lost since the start."""
        counter = self._counters["workers_restarted_total"]
        before = self.registry.get_sample_value("bdms_ingestd_workers_restarted_total") or 0.0
        counter.inc(max(0.0, total - before))

    def polled(self, duration_s: float) -> None:
        """Take note of a look into the inbox."""
        self._histograms["inbox_poll_seconds"].observe(duration_s)

    def beat(self, now_s: float) -> None:
        """Take note of a turn of the main loop, at `now_s` since the epoch."""
        self._gauges["heartbeat_timestamp_seconds"].set(now_s)

    def inbox(self, *, hidden_folders: int, odd_names: int, waiting_triggers: int) -> None:
        """Show what is wrong in the inbox, and what waits there."""
        self._gauges["inbox_errors"].labels("folder").set(hidden_folders)
        self._gauges["inbox_errors"].labels("name").set(odd_names)
        self._gauges["inbox_waiting_triggers"].set(waiting_triggers)

    def queue(
        self,
        files: Mapping[str, int],
        *,
        waiting: Mapping[str, int],
        oldest_waiting_s: float | None,
        open_blocks: int,
    ) -> None:
        """Show what is at hand.

        Parameters
        ----------
        files
            Number of files by state; a state that is left out has none.
        waiting
            Number of files that wait by cause; a cause that is left out has none.
        oldest_waiting_s
            Time of the oldest trigger whose file is not registered, since the epoch; None if none waits.
        open_blocks
            Blocks that are being filled.
        """
        self.files = files
        for state in self._states | files.keys():
            self._files(state, files.get(state, 0))
        for cause in self._causes | waiting.keys():
            self._wait(cause, waiting.get(cause, 0))
        self._gauges["oldest_waiting_timestamp_seconds"].set(oldest_waiting_s or 0.0)
        self._gauges["open_blocks"].set(open_blocks)

    def space(self, *, journal_bytes: int, free_bytes: Mapping[str, int], low_disk_bytes: int) -> None:
        """Show the size of the journal, the free space by place (``storage``, ``state``), and what is too little."""
        self._gauges["journal_bytes"].set(journal_bytes)
        self._gauges["low_disk_bytes"].set(low_disk_bytes)
        for place, number in free_bytes.items():
            self._gauges["free_bytes"].labels(place).set(number)
