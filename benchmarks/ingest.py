"""Files per second through the whole ingestion: the daemon, and a client that takes them one by one.

Run ``python benchmarks/ingest.py``. All ways run against the same embedded Rucio, one after the other, with genuine
small DL0 files (26 or 190 kB), and with the replication of what was registered going on beside them. The daemon is
``bdms ingestd`` as a process with its own state; the other way is ``per_file.py``, with fewer files, for it is slow.

* saturated: all triggers at once. The rate is files over the time from the first trigger to the last registration.
* a tenth: triggers at a tenth of that rate. The lag is from trigger to registration, as the journal has it.

CPU is of the processes named and all below them: the server's are web server, database, daemons and transfers.
Aims: the daemon is 100 times as fast as one process one by one, makes at most 0.05 requests a file, and at a tenth of
the rate 95 of 100 files are registered within 5 s.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from ingestd import IN_ARCHIVE, Ingestd, lags_s, percentiles, registered_within_s
from machine import busy_s, cpu_s

from ctao_bdms.embedded import start
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.model import Night
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_dl0
from ctao_bdms.testing.ingestd import ONSITE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.embedded import Instance

_LIMIT_S = 1800.0
_SETTLED_S, _SETTLED_CPUS = 5.0, 0.3


@attrs.frozen(kw_only=True)
class Cpu:
    """CPU seconds of the client, of the server, and of everybody else on the machine."""

    client_s: float
    server_s: float
    others_s: float


@attrs.frozen(kw_only=True)
class Row:
    """What one way did."""

    way: str
    files: int
    seconds: float
    requests: float
    cpu: Cpu
    lags_s: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Files per second."""
        return self.files / self.seconds

    def text(self, plain: float) -> str:
        """Return it as a line of the table."""
        middle, high = percentiles(self.lags_s)[:2] if self.lags_s else (float("nan"),) * 2
        per_thousand = 1000 / self.files
        return (
            f"{self.way:<26}{self.files:>7}{self.rate:>9.1f}{self.rate / plain:>8.1f}"
            f"{self.requests / self.files:>10.3f}"
            f"{self.cpu.client_s * per_thousand:>9.1f}{self.cpu.server_s * per_thousand:>9.1f}"
            f"{middle:>8.1f}{high:>8.1f}{self.cpu.others_s / self.seconds:>8.2f}"
        )


_HEAD = (
    f"{'way':<26}{'files':>7}{'files/s':>9}{'ratio':>8}{'req/file':>10}{'CPU s':>9}{'CPU s':>9}{'lag':>8}{'lag':>8}"
    f"{'others':>8}\n{'':<60}{'client':>9}{'server':>9}{'p50 s':>8}{'p95 s':>8}{'CPUs':>8}"
)


class Usage:
    """What was used since it was made: the client's and the server's CPU, and that of all others on the machine."""

    def __init__(self, rucio: Instance, client: int | None = None) -> None:
        record = RunRecord.load(rucio.home.run_file)
        assert record is not None
        self._server, self._client = record.supervisor.pid, client
        self._begin = self._now()

    def _now(self) -> tuple[float, float, float]:
        return (0.0 if self._client is None else cpu_s(self._client)), cpu_s(self._server), busy_s()

    def taken(self, client_cpu_s: float | None = None) -> Cpu:
        """Return it; `client_cpu_s` if the client has counted for itself."""
        ours, server, busy = (end - begin for begin, end in zip(self._begin, self._now(), strict=True))
        ours = ours if client_cpu_s is None else client_cpu_s
        return Cpu(client_s=ours, server_s=server, others_s=max(0.0, busy - ours - server))


def settle(rucio: Instance) -> None:
    """Wait until the server has done what earlier measurements left to it: their replication."""
    end_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < end_s:
        usage = Usage(rucio)
        time.sleep(_SETTLED_S)
        if usage.taken(0.0).server_s < _SETTLED_CPUS * _SETTLED_S:
            return


def write(rucio: Instance, count: int, night: Night) -> list[WrittenFile]:
    """Write the files of a night, without triggers."""
    specs = night_specs(count, megabytes=0.01, night=night)
    return [write_dl0(spec, rucio.storage(ONSITE), trigger=False) for spec in specs]


def announce(file: WrittenFile) -> None:
    """Give a file its trigger."""
    file.trigger.symlink_to(file.path.name)


def one_by_one(rucio: Instance, files: list[WrittenFile], processes: int) -> Row:
    """Have clients take files one by one."""
    command = [sys.executable, str(Path(__file__).with_name("per_file.py")), str(rucio.client_config("root"))]
    for file in files:
        announce(file)
    settle(rucio)
    usage = Usage(rucio)
    clients = []
    for number in range(processes):
        process = subprocess.Popen(
            [*command, str(rucio.storage(ONSITE)), ONSITE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        with process.stdin as stream:
            stream.writelines(f"{file.path}\n" for file in files[number::processes])
        clients.append(process)
    results = []
    for process in clients:
        assert process.stdout is not None
        with process.stdout as stream:
            results.append(json.load(stream))
        process.wait()
    return Row(
        way=f"one by one, {processes} process" + "es" * (processes > 1),
        files=sum(result["files"] for result in results),
        seconds=max(result["seconds"] for result in results),
        requests=sum(result["requests"] for result in results),
        cpu=usage.taken(sum(result["cpu_s"] for result in results)),
    )


def by_daemon(rucio: Instance, folder: Path, files: list[WrittenFile], workers: int, rate: float | None = None) -> Row:
    """Have the daemon take files: all at once, or at a rate."""
    night = files[0].spec.night
    with Ingestd.on(rucio, folder, workers) as daemon:
        settle(rucio)
        usage, requests = Usage(rucio, daemon.pid), daemon.requests()
        begin_s = time.monotonic()
        for number, file in enumerate(files):
            if rate is not None:
                time.sleep(max(0.0, begin_s + number / rate - time.monotonic()))
            announce(file)
        assert daemon.wait(night, len(files), IN_ARCHIVE, _LIMIT_S) == len(files), daemon.log.read_text()
        taken, requests = usage.taken(), daemon.requests() - requests
        entries = list(daemon.journal.entries(night=night))
    return Row(
        way="daemon, saturated" if rate is None else f"daemon, {rate:.1f} files/s",
        files=len(files),
        seconds=registered_within_s(entries),
        requests=requests,
        lags_s=tuple(lags_s(entries)),
        cpu=taken,
    )


def nights() -> Iterator[Night]:
    """Yield nights, one for each measurement."""
    day = dt.date(2026, 1, 1)
    while True:
        yield Night(day)
        day += dt.timedelta(days=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="*", default=[1000, 10_000], help="how many the daemon takes")
    parser.add_argument("--one-by-one", type=int, default=60, help="how many the other client takes")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="of the other client")
    parser.add_argument("--tenth", type=int, default=600, help="how many the daemon takes at a tenth of its rate")
    parser.add_argument("--workers", type=int, default=2, help="processes of the daemon that read files")
    parser.add_argument("--folder", type=Path, help="where to make the embedded Rucio")
    options = parser.parse_args()
    calendar = nights()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, start(Path(name) / "rucio") as rucio:
        rows = [
            one_by_one(rucio, write(rucio, options.one_by_one, next(calendar)), processes)
            for processes in options.processes
        ]
        plain = rows[0].rate if rows else float("nan")
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n{_HEAD}")
        for row in rows:
            print(row.text(plain), flush=True)
        saturated = 0.0
        for number, count in enumerate(options.files):
            row = by_daemon(rucio, Path(name) / f"{number}", write(rucio, count, next(calendar)), options.workers)
            saturated = row.rate
            print(row.text(plain), flush=True)
        if options.tenth and saturated:
            files = write(rucio, options.tenth, next(calendar))
            print(by_daemon(rucio, Path(name) / "tenth", files, options.workers, saturated / 10).text(plain))
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
