"""A daemon under measurement: ``bdms ingestd`` as a process, with a state folder of its own, and what it has done."""

from __future__ import annotations

import json
import signal
import statistics
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from prometheus_client.parser import text_string_to_metric_families

from ctao_bdms.journal import FileState, JournalReader
from ctao_bdms.testing.ingestd import IngestdFolder

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from ctao_bdms.embedded import Instance
    from ctao_bdms.journal import Entry
    from ctao_bdms.model import Night

#: How long a start may take, in seconds: a new journal is filled from the catalogue, which replicates meanwhile.
_START_S = 600.0


class Ingestd:
    """The daemon as a process; it stops at the end of the block."""

    def __init__(self, made: IngestdFolder) -> None:
        self._state, self.log = made.state, made.log
        self._process = made.start()
        self.journal = self._ready()

    @classmethod
    def on(cls, rucio: Instance, folder: Path, workers: int) -> Self:
        """Start a daemon that takes what lies on the storage of an embedded Rucio."""
        return cls(IngestdFolder.for_instance(rucio, folder, {"workers": {"number": workers}}))

    def _ready(self) -> JournalReader:
        """Wait until the daemon shows itself."""
        end_s = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < end_s:
            try:
                if self.status():
                    return JournalReader(self._state / "journal.sqlite")
            except OSError:
                time.sleep(0.1)
        self._process.terminate()
        raise RuntimeError(self.log.read_text(encoding="utf-8"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def _get(self, path: str) -> str:
        url = (self._state / "address").read_text(encoding="utf-8").strip()
        with urllib.request.urlopen(f"{url}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def status(self) -> dict[str, Any]:
        """Return what it says of itself."""
        status: dict[str, Any] = json.loads(self._get("/status"))
        return status

    def metric(self, name: str) -> float:
        """Return the value of a metric, of all its labels together."""
        families = text_string_to_metric_families(self._get("/metrics"))
        samples = [sample for family in families for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name == f"bdms_ingestd_{name}")

    def requests(self) -> float:
        """Return how many requests it has made to the catalogue."""
        return self.metric("catalogue_requests_total")

    @property
    def journal_bytes(self) -> int:
        """The size of its journal."""
        return self.journal.size_bytes

    def wait(self, night: Night, count: int, states: Sequence[FileState], limit_s: float) -> int:
        """Wait until so many files of a night are in one of the states; return how many are when the time is over."""
        end_s = time.monotonic() + limit_s
        while True:
            tallies = self.journal.tallies(night)
            reached = sum(tallies[state].files for state in states)
            if reached >= count or time.monotonic() >= end_s or self._process.poll() is not None:
                return reached
            time.sleep(0.1)


IN_ARCHIVE = (FileState.REGISTERED, FileState.REPLICATED)


def registered_within_s(entries: Sequence[Entry]) -> float:
    """Return the time from the first trigger to the last registration."""
    begin = min(entry.triggered for entry in entries if entry.triggered)
    return (max(entry.registered for entry in entries if entry.registered) - begin).total_seconds()


def lags_s(entries: Sequence[Entry], field: str = "registered") -> list[float]:
    """Return the times from trigger to registration, or to replication, in order."""
    pairs: list[tuple[dt.datetime, dt.datetime]] = [
        (entry.triggered, getattr(entry, field)) for entry in entries if entry.triggered and getattr(entry, field)
    ]
    return sorted((end - begin).total_seconds() for begin, end in pairs)


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, 95th percentile and maximum."""
    return statistics.median(values), statistics.quantiles(values, n=20)[-1], max(values)
