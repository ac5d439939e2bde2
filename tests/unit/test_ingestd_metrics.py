"""The metrics of the daemon, and their format for Prometheus."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.debian import demand

from ctao_bdms.daemon.face.families import FAMILIES, Kind
from ctao_bdms.daemon.face.metrics import CONTENT_TYPE, Metrics
from ctao_bdms.model import DefectKind


def busy() -> Metrics:
    """Return metrics to which everything has happened."""
    metrics = Metrics(states=["found", "registered"], causes=["catalogue", "storage"])
    metrics.registered(size_bytes=7, lag_s=3.0, now_s=1e9)
    metrics.registered(size_bytes=5, lag_s=-0.2, now_s=2e9)
    metrics.replicated(size_bytes=12, lag_s=4000.0)
    metrics.scanned(size_bytes=12, duration_s=0.2)
    metrics.batch(300)
    metrics.request(201)
    metrics.request(503)
    metrics.request(None)
    metrics.retried("catalogue")
    metrics.circuit("catalogue", is_open=True)
    metrics.circuit("storage", is_open=False)
    metrics.quarantined(DefectKind.CORRUPT)
    metrics.workers_lost(1)
    metrics.polled(0.02)
    metrics.beat(1.5e9)
    metrics.queue({"registered": 9}, waiting={"storage": 2, "refused": 1}, oldest_waiting_s=1.25e9, open_blocks=2)
    metrics.inbox(hidden_folders=1, odd_names=3, waiting_triggers=4)
    metrics.space(journal_bytes=4096, free_bytes={"storage": 10, "state": 20}, low_disk_bytes=5)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"bdms_ingestd_{name}", labels)


def test_everything_that_happens_is_counted() -> None:
    metrics = busy()
    expected = {
        "registered_bytes_total": 12,
        "registration_lag_seconds_count": 2,
        "registration_lag_seconds_sum": 3,
        "last_success_timestamp_seconds": 2e9,
        "replicated_bytes_total": 12,
        "replication_lag_seconds_sum": 4000,
        "scanned_bytes_total": 12,
        "scan_seconds_sum": 0.2,
        "batch_files_sum": 300,
        "inbox_poll_seconds_sum": 0.02,
        "heartbeat_timestamp_seconds": 1.5e9,
        "oldest_waiting_timestamp_seconds": 1.25e9,
        "open_blocks": 2,
        "journal_bytes": 4096,
        "low_disk_bytes": 5,
    }
    assert {name: value(metrics, name) for name in expected} == expected
    assert value(metrics, "registration_lag_seconds_bucket", le="5.0") == 2
    assert value(metrics, "replication_lag_seconds_bucket", le="3600.0") == 0
    assert value(metrics, "replication_lag_seconds_bucket", le="7200.0") == 1
    assert [value(metrics, "catalogue_requests_total", status=s) for s in ("2xx", "4xx", "5xx", "none")] == [1, 0, 1, 1]
    assert [value(metrics, "circuit_open", cause=c) for c in ("catalogue", "storage")] == [1, 0]
    assert [value(metrics, "retries_total", cause=c) for c in ("catalogue", "storage")] == [1, 0]
    assert [value(metrics, "waiting_files", cause=c) for c in ("catalogue", "storage", "refused")] == [0, 2, 1]
    assert [value(metrics, "inbox_errors", kind=k) for k in ("folder", "name")] == [1, 3]
    assert value(metrics, "inbox_waiting_triggers") == 4
    assert value(metrics, "workers_restarted_total") == 1
    assert [value(metrics, "free_bytes", place=p) for p in ("storage", "state")] == [10, 20]
    assert {kind: value(metrics, "quarantined_files_total", reason=str(kind)) for kind in DefectKind} == {
        kind: float(kind is DefectKind.CORRUPT) for kind in DefectKind
    }


def test_a_state_without_files_has_none() -> None:
    metrics = busy()
    assert [value(metrics, "files", state=state) for state in ("found", "registered")] == [0, 9]
    metrics.queue({"found": 1}, waiting={"catalogue": 1}, oldest_waiting_s=None, open_blocks=0)
    assert [value(metrics, "files", state=state) for state in ("found", "registered")] == [1, 0]
    assert value(metrics, "oldest_waiting_timestamp_seconds") == 0
    assert [value(metrics, "waiting_files", cause=c) for c in ("catalogue", "storage", "refused")] == [1, 0, 0]


def test_the_build_is_named() -> None:
    text = Metrics().exposition().decode()
    assert re.search(r'^bdms_ingestd_build_info\{python="3\.[0-9.]+",version="[^"]+"\} 1\.0$', text, re.MULTILINE)


def test_exposition_matches_the_table() -> None:
    kinds = {Kind.INFO: "gauge"}
    shown = {f.name: f for f in text_string_to_metric_families(busy().exposition().decode())}
    ours = {name: f for name, f in shown.items() if name.startswith("bdms_")}
    assert set(ours) == {family.name.removesuffix("_total") for family in FAMILIES.values()}
    for family in FAMILIES.values():
        found = ours[family.name.removesuffix("_total")]
        assert found.type == kinds.get(family.kind, family.kind.value)
        assert found.documentation == family.help
        labels = set().union(*(sample.labels for sample in found.samples)) - {"le"}
        assert labels == set(family.labels), family.name


def test_promtool_takes_the_exposition() -> None:
    demand("prometheus", there=shutil.which("promtool") is not None)
    exposition = busy().exposition()
    done = subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    bad = exposition.replace(b"bdms_ingestd_journal_bytes", b"bdms_ingestd_journal_kilobytes")
    assert subprocess.run(["promtool", "check", "metrics"], input=bad, capture_output=True, check=False).returncode


def test_two_daemons_in_one_process_do_not_share_a_registry() -> None:
    one, two = Metrics(), Metrics()
    one.batch(3)
    assert (value(one, "batch_files_count"), value(two, "batch_files_count")) == (1, 0)
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(one.registry)
    assert isinstance(Metrics(CollectorRegistry()).registry, CollectorRegistry)


def test_the_type_is_that_of_the_format() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=")
