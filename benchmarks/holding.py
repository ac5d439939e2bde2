"""What it costs that each file is locked from its registration on: requests, server CPU, files per second.

Run ``python benchmarks/holding.py``. All ways register blocks of new files in a real Rucio, take turns in one run, and
end when Rucio's evaluator has made all locks on site:

* at the closing: the block is opened without a rule, filled, closed, and then gets its rule: until then nothing holds
  its files (how it was done before).
* at the opening: the block is opened with its rule, in one request, then filled and closed (how it is done).

A new rule after each batch, which Rucio evaluates at once, is no third way: it collides with the evaluator, which then
leaves the block alone for minutes, or the request fails ("unknown Database Exception").

``unlocked`` is the time from the registration of a block's last batch until a lock is there for each of its files.
Aims: at the opening takes at most 10 % longer than at the closing, and at most 0.05 requests a file.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from machine import cpu_s

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import start
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.model import FirstRule
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.model import Did, Registration

SCOPE = "acada"
WAYS = ("at the closing", "at the opening")


def block(catalogue: RucioCatalogue, did: Did, batches: Sequence[Sequence[Registration]], way: str) -> float:
    """Register a block of files; return the time at which its last batch was registered."""
    catalogue.open_block(did, FirstRule(rse_expression=ONSITE) if way == "at the opening" else None)
    for files in batches:
        assert not catalogue.files([file.lfn for file in files])
        catalogue.register(did, ONSITE, files)
    registered = time.perf_counter()
    catalogue.close_block(did)
    if way == "at the closing":
        catalogue.add_rule(did, rse_expression=ONSITE)
    return registered


def locked(catalogue: RucioCatalogue, did: Did, files: int) -> None:
    """Wait until a rule has a lock for each file of a block."""
    while all(rule.locks["ok"] < files for rule in catalogue.rules(did.scope, [did.name])[did.name]):
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how many turns each way takes")
    parser.add_argument("--blocks", type=int, default=3, help="blocks of each turn")
    parser.add_argument("--batches", type=int, default=5, help="batches of a block")
    parser.add_argument("--files", type=int, default=100, help="files of a batch")
    options = parser.parse_args()
    numbers, tokens = itertools.count(), itertools.count(1)
    taken: dict[str, dict[str, list[float]]] = {way: {} for way in WAYS}
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "rucio") as rucio:
        catalogue = RucioCatalogue.connect(rucio.client_config("root"))
        catalogue.ensure_directories([registration(SCOPE, number).lfn for number in range(8)])
        counted = [0]
        catalogue.count_requests(lambda _: counted.__setitem__(0, counted[0] + 1))
        record = RunRecord.load(rucio.home.run_file)
        assert record is not None
        server = record.supervisor.pid
        for turn in range(options.rounds + 1):
            for way in WAYS if turn % 2 else reversed(WAYS):
                n_files = options.blocks * options.batches * options.files
                cpu, lags, seconds = cpu_s(server), [], 0.0
                for _ in range(options.blocks):
                    did = block_of(SCOPE, f"{next(tokens):08x}")
                    batches = [
                        [registration(SCOPE, next(numbers)) for _ in range(options.files)]
                        for _ in range(options.batches)
                    ]
                    began, requests = time.perf_counter(), counted[0]
                    registered = block(catalogue, did, batches, way)
                    seconds, requests = seconds + time.perf_counter() - began, counted[0] - requests
                    locked(catalogue, did, options.batches * options.files)
                    lags.append(time.perf_counter() - registered)
                row = {
                    "files/s": n_files / seconds,
                    "requests/file": requests / (options.batches * options.files),
                    "server ms/file": (cpu_s(server) - cpu) * 1000 / n_files,
                    "unlocked s": max(lags),
                }
                for key, value in row.items():
                    if turn > 0:  # the first turn warms up
                        taken[way].setdefault(key, []).append(value)
    columns = list(taken[WAYS[0]])
    print(f"{'rule':<16}" + "".join(f"{column:>16}" for column in columns) + f"{'time ratio':>12}")
    plain = taken[WAYS[0]]["files/s"]
    for way, row in taken.items():
        ratio = statistics.median(before / after for before, after in zip(plain, row["files/s"], strict=True))
        print(f"{way:<16}" + "".join(f"{statistics.median(row[key]):>16.3f}" for key in columns) + f"{ratio:>12.3f}")


if __name__ == "__main__":
    main()
