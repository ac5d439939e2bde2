"""The table of metrics: source of the registry and of the reference page."""

from __future__ import annotations

from enum import StrEnum

import attrs

__all__ = ["FAMILIES", "Family", "Kind"]


class Kind(StrEnum):
    """The metric types of Prometheus that are used."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@attrs.frozen
class Family:
    """One metric.

    Attributes
    ----------
    name
        Its whole name, with the unit, as Prometheus shows it.
    kind
        What it is.
    help
        What it says.
    labels
        The names of its labels.
    buckets
        The upper ends of a histogram's buckets.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_MINUTE, _HOUR = 60.0, 3600.0
_SHORT = (1.0, 2.0, 5.0, 10.0, 30.0, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE)
_LAGS = (*_SHORT, _HOUR, 2 * _HOUR, 6 * _HOUR, 12 * _HOUR, 24 * _HOUR, 72 * _HOUR)
_SCANS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE)
_POLLS = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
_BATCHES = (1.0, 5.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

FAMILIES: dict[str, Family] = {
    family.name.removeprefix("bdms_ingestd_"): family
    for family in (
        Family(
            "bdms_ingestd_registration_lag_seconds",
            Kind.HISTOGRAM,
            "Time from the trigger of a file to its registration.",
            buckets=_LAGS,
        ),
        Family(
            "bdms_ingestd_replication_lag_seconds",
            Kind.HISTOGRAM,
            "Time from the trigger of a file to its verified copies at all centres.",
            buckets=_LAGS,
        ),
        Family("bdms_ingestd_registered_bytes_total", Kind.COUNTER, "Bytes of the files that were registered."),
        Family("bdms_ingestd_replicated_bytes_total", Kind.COUNTER, "Bytes of the files that have all their copies."),
        Family(
            "bdms_ingestd_scan_seconds",
            Kind.HISTOGRAM,
            "Time that reading a file took, in one worker.",
            buckets=_SCANS,
        ),
        Family("bdms_ingestd_scanned_bytes_total", Kind.COUNTER, "Bytes that were read."),
        Family("bdms_ingestd_files", Kind.GAUGE, "Files in the journal by state.", ("state",)),
        Family(
            "bdms_ingestd_oldest_waiting_timestamp_seconds",
            Kind.GAUGE,
            "Time since the epoch of the oldest trigger whose file is not registered, for whatever reason; 0 if none.",
        ),
        Family(
            "bdms_ingestd_waiting_files",
            Kind.GAUGE,
            "Files in the journal that cannot go on by themselves, by what they wait for.",
            ("cause",),
        ),
        Family("bdms_ingestd_batch_files", Kind.HISTOGRAM, "Files registered in one request.", buckets=_BATCHES),
        Family("bdms_ingestd_open_blocks", Kind.GAUGE, "Blocks that are being filled."),
        Family(
            "bdms_ingestd_catalogue_requests_total",
            Kind.COUNTER,
            "Answers of the catalogue by the class of their status.",
            ("status",),
        ),
        Family("bdms_ingestd_retries_total", Kind.COUNTER, "Attempts after a transient failure by cause.", ("cause",)),
        Family(
            "bdms_ingestd_circuit_open",
            Kind.GAUGE,
            "1 while a cause holds work up and is probed, else 0.",
            ("cause",),
        ),
        Family(
            "bdms_ingestd_quarantined_files_total",
            Kind.COUNTER,
            "Files put into quarantine by the kind of their first defect.",
            ("reason",),
        ),
        Family(
            "bdms_ingestd_workers_restarted_total",
            Kind.COUNTER,
            "Reading processes that died, hung or needed too much memory, and were replaced.",
        ),
        Family(
            "bdms_ingestd_last_success_timestamp_seconds",
            Kind.GAUGE,
            "Time of the last registration since the epoch; 0 before the first.",
        ),
        Family(
            "bdms_ingestd_heartbeat_timestamp_seconds",
            Kind.GAUGE,
            "Time of the last turn of the main loop since the epoch.",
        ),
        Family("bdms_ingestd_journal_bytes", Kind.GAUGE, "Size of the journal on disk."),
        Family("bdms_ingestd_free_bytes", Kind.GAUGE, "Free space by place: storage or state.", ("place",)),
        Family("bdms_ingestd_low_disk_bytes", Kind.GAUGE, "Free space below which the daemon is not ready."),
        Family(
            "bdms_ingestd_inbox_poll_seconds", Kind.HISTOGRAM, "Time that a look into the inbox took.", buckets=_POLLS
        ),
        Family(
            "bdms_ingestd_inbox_errors",
            Kind.GAUGE,
            "What is wrong in the inbox by kind: folders that cannot be looked at, and names that are no triggers.",
            ("kind",),
        ),
        Family(
            "bdms_ingestd_inbox_waiting_triggers",
            Kind.GAUGE,
            "Triggers whose file is not there, or that contradict their own name.",
        ),
        Family("bdms_ingestd_build_info", Kind.INFO, "What runs.", ("version", "python")),
    )
}
