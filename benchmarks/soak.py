"""A night at a constant rate through the daemon: does anything grow, does everything arrive?

Run ``python benchmarks/soak.py``. A real night brings 70,000 files in 10 h, two a second. Files come at ``--rate`` for
``--minutes``; then everything must be in the archive, with all copies, as the catalogue says. Shown are the lags, the
size of the journal, and the memory of the daemon and of its workers over time. Exit code 1 if a file is missing, or if
the daemon's memory in the last quarter is more than ``--growth-mb`` above that of the second.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from ingestd import IN_ARCHIVE, Ingestd, lags_s, percentiles
from machine import memory_mb

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import start
from ctao_bdms.journal import FileState
from ctao_bdms.model import Night, ReplicaState
from ctao_bdms.testing.dl0 import night_specs, write_dl0
from ctao_bdms.testing.ingestd import ONSITE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.embedded import Instance
    from ctao_bdms.model import ArchivedFile
    from ctao_bdms.testing.dl0 import WrittenFile

_SAMPLE_S = 2.0
_ASKED = 100


@attrs.frozen
class Sample:
    """The memory at one time, in MB."""

    seconds: float
    daemon_mb: float
    workers_mb: float


class Sampler(threading.Thread):
    """Looks at the memory of a process again and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._pid = pid
        self._end = threading.Event()
        self._begin_s = time.monotonic()

    def run(self) -> None:
        while not self._end.wait(_SAMPLE_S):
            self.samples.append(Sample(time.monotonic() - self._begin_s, *memory_mb(self._pid)))

    def stop(self) -> None:
        self._end.set()
        self.join()


def quarters(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """Return the samples in four parts."""
    ends = [len(samples) * part // 4 for part in range(5)]
    return [samples[begin:end] for begin, end in itertools.pairwise(ends)]


def show(samples: Sequence[Sample]) -> float:
    """Print the memory by quarters of the time; return by how much the daemon's last one is above its second, in MB."""
    means = []
    print(f"{'until s':>8}{'daemon MB':>11}{'workers MB':>12}")
    for part in quarters(samples):
        means.append(statistics.mean(sample.daemon_mb for sample in part))
        workers = statistics.mean(sample.workers_mb for sample in part)
        print(f"{part[-1].seconds:>8.0f}{means[-1]:>11.1f}{workers:>12.1f}")
    slope = statistics.linear_regression(
        [sample.seconds for sample in samples[len(samples) // 4 :]],
        [sample.daemon_mb for sample in samples[len(samples) // 4 :]],
    ).slope
    print(f"slope after the first quarter: {slope * 3600:+.1f} MB an hour")
    return means[3] - means[1]


def feed(rucio: Instance, night: Night, count: int, rate: float) -> list[WrittenFile]:
    """Write files with their triggers at a rate."""
    written = []
    begin_s = time.monotonic()
    for number, spec in enumerate(night_specs(count, megabytes=0.01, night=night)):
        time.sleep(max(0.0, begin_s + number / rate - time.monotonic()))
        written.append(write_dl0(spec, rucio.storage(ONSITE)))
    return written


def missing(rucio: Instance, files: Sequence[WrittenFile]) -> int:
    """Return how many files the catalogue does not have as they were written, on site and at both centres."""
    catalogue = RucioCatalogue.connect(rucio.client_config())
    count = 0
    for begin in range(0, len(files), _ASKED):
        part = files[begin : begin + _ASKED]
        found = catalogue.files([file.lfn for file in part])
        count += sum(not is_whole(file, found.get(file.lfn), rucio.rses) for file in part)
    return count


def is_whole(file: WrittenFile, archived: ArchivedFile | None, rses: Sequence[str]) -> bool:
    """Whether the catalogue has a file as it was written, at every place."""
    if archived is None or (archived.size_bytes, archived.adler32) != (file.size_bytes, file.adler32):
        return False
    there = {replica.rse for replica in archived.replicas if replica.state is ReplicaState.AVAILABLE}
    return there >= set(rses)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=20.0, help="files a second")
    parser.add_argument("--workers", type=int, default=2, help="processes of the daemon that read files")
    parser.add_argument("--growth-mb", type=float, default=20.0, help="the most by which the daemon's memory may grow")
    parser.add_argument("--patience-s", type=float, default=900.0, help="for the last files, and for their copies")
    parser.add_argument("--folder", type=Path, help="where to make the embedded Rucio")
    options = parser.parse_args()
    night, count = Night(dt.date(2026, 1, 1)), round(options.minutes * 60 * options.rate)
    with tempfile.TemporaryDirectory(dir=options.folder) as name, start(Path(name) / "rucio") as rucio:
        with Ingestd.on(rucio, Path(name) / "daemon", options.workers) as daemon:
            sampler = Sampler(daemon.pid)
            sampler.start()
            files = feed(rucio, night, count, options.rate)
            daemon.wait(night, count, IN_ARCHIVE, options.patience_s)
            sampler.stop()
            journal_bytes = daemon.journal_bytes
            daemon.wait(night, count, [FileState.REPLICATED], options.patience_s)
            entries = list(daemon.journal.entries(night=night))
        lost = missing(rucio, files)
    print(f"{count} files at {options.rate:g} files/s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    growth_mb = show(sampler.samples)
    for what, field in (("registered", "registered"), ("all copies", "replicated")):
        lags = lags_s(entries, field)
        numbers = "p50 {:.1f} s, p95 {:.1f} s, longest {:.1f} s".format(*percentiles(lags)) if lags else "none"
        print(f"trigger to {what}: {numbers}; {len(lags)} files")
    print(f"journal: {journal_bytes / count:.0f} bytes a file")
    print(f"not whole at all three places, as the catalogue says: {lost} of {count}")
    return 1 if lost or growth_mb > options.growth_mb else 0


if __name__ == "__main__":
    sys.exit(main())
