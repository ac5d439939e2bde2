"""The metrics of the daemon: one method for each event that is counted."""

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
# The creation time of each counter would double the number of series.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
_STATUSES = ("2xx", "3xx", "4xx", "5xx", "none")


class Metrics:
    """The metrics of one daemon.

    Known label values start at 0, so that a rate includes their first increase.

    Parameters
    ----------
    registry
        By default a new one.
    states, causes
        The known label values.

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
        #: Number of files by state, from the last call of `queue`.
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
        """Set all known labels to 0."""
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
        """Return all metrics for Prometheus, in the format of `CONTENT_TYPE`."""
        return prometheus_client.generate_latest(self.registry)

    def totals(self) -> dict[str, float]:
        """Return the counters since the start, by name."""
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
        """Count a registered file, `lag_s` after its trigger, at `now_s` since the epoch."""
        self._counters["registered_bytes_total"].inc(size_bytes)
        self._histograms["registration_lag_seconds"].observe(max(lag_s, 0.0))
        self._gauges["last_success_timestamp_seconds"].set(now_s)

    def replicated(self, *, size_bytes: int, lag_s: float) -> None:
        """Count a file with all its copies, `lag_s` after its trigger."""
        self._counters["replicated_bytes_total"].inc(size_bytes)
        self._histograms["replication_lag_seconds"].observe(max(lag_s, 0.0))

    def scanned(self, *, size_bytes: int, duration_s: float) -> None:
        """Count a scanned file."""
        self._counters["scanned_bytes_total"].inc(size_bytes)
        self._histograms["scan_seconds"].observe(duration_s)

    def batch(self, files: int) -> None:
        """Count a request that registered `files` files."""
        self._histograms["batch_files"].observe(files)

    def request(self, status: int | None) -> None:
        """Count a response of the catalogue; None if there was none."""
        self._counters["catalogue_requests_total"].labels("none" if status is None else f"{status // 100}xx").inc()

    def retried(self, cause: str) -> None:
        """Count a retry after a failure by `cause`."""
        self._counters["retries_total"].labels(cause).inc()

    def circuit(self, cause: str, *, is_open: bool) -> None:
        """Set whether the circuit of `cause` is open."""
        self._gauges["circuit_open"].labels(cause).set(is_open)

    def quarantined(self, reason: DefectKind | str) -> None:
        """Count a quarantined file by the kind of its first defect."""
        self._counters["quarantined_files_total"].labels(str(reason)).inc()

    def workers_lost(self, total: int) -> None:
        """Set the number of workers lost since the start."""
        counter = self._counters["workers_restarted_total"]
        before = self.registry.get_sample_value("bdms_ingestd_workers_restarted_total") or 0.0
        counter.inc(max(0.0, total - before))

    def polled(self, duration_s: float) -> None:
        """Record the duration of an inbox poll."""
        self._histograms["inbox_poll_seconds"].observe(duration_s)

    def beat(self, now_s: float) -> None:
        """Record a turn of the main loop, at `now_s` since the epoch."""
        self._gauges["heartbeat_timestamp_seconds"].set(now_s)

    def inbox(self, *, hidden_folders: int, odd_names: int, waiting_triggers: int) -> None:
        """Set the number of problems and waiting triggers in the inbox."""
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
        """Set the size of the backlog.

        Parameters
        ----------
        files
            Number of files by state; a missing state has none.
        waiting
            Number of waiting files by cause; a missing cause has none.
        oldest_waiting_s
            Time of the oldest trigger whose file is not registered, since the epoch; None if there is none.
        """
        self.files = files
        for state in self._states | files.keys():
            self._files(state, files.get(state, 0))
        for cause in self._causes | waiting.keys():
            self._wait(cause, waiting.get(cause, 0))
        self._gauges["oldest_waiting_timestamp_seconds"].set(oldest_waiting_s or 0.0)
        self._gauges["open_blocks"].set(open_blocks)

    def space(self, *, journal_bytes: int, free_bytes: Mapping[str, int], low_disk_bytes: int) -> None:
        """Set the size of the journal, the free space by place, and its limit."""
        self._gauges["journal_bytes"].set(journal_bytes)
        self._gauges["low_disk_bytes"].set(low_disk_bytes)
        for place, number in free_bytes.items():
            self._gauges["free_bytes"].labels(place).set(number)
