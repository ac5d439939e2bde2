"""Seconds to fetch files: with ours, with ``cp``, and with the stock client of Rucio, side by side.

Run ``python benchmarks/access.py retrieve``. All ways fetch the same files from the on-site storage of one embedded
Rucio into empty folders on the same disk, one way after the other, in several rounds; the bytes are in the cache.

* cp: ``cp`` of all files, with one process; it verifies nothing and waits for no medium
* cp, sync: the same, and then ``sync --file-system`` of the folder
* ours: `Bdms.retrieve` of the block, with four threads: Adler-32 of every byte, every file on the medium
* stock: `DownloadClient.download_dids` of the block, with four threads, which verifies, too

Seconds are of the call; the start of the process is in "whole". Aims, by the best round: ours takes at most 1.3 times
as long as ``cp`` with large files, and the stock client at least 5 times as long as ours with small ones.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import start
from ctao_bdms.embedded.namespace import add_scope
from ctao_bdms.integrity import digest_file
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ctao_bdms.embedded import Instance
    from ctao_bdms.model import Did

_PIECE = 1_000_000
_OURS = """
import json, sys, time
from ctao_bdms import connect
bdms = connect()
begin_s = time.perf_counter()
fetched = bdms.retrieve(block=sys.argv[1], folder=sys.argv[2], jobs=4)
seconds = time.perf_counter() - begin_s
assert not fetched.failed, fetched.failed[0]
print(json.dumps([len(fetched), seconds]))
"""
_STOCK = """
import json, logging, sys, time
from rucio.client.downloadclient import DownloadClient
logging.disable()
client = DownloadClient()
item = {"did": sys.argv[1], "base_dir": sys.argv[2], "no_subdir": True}
begin_s = time.perf_counter()
done = client.download_dids([item], num_threads=4, trace_custom_fields={})
seconds = time.perf_counter() - begin_s
assert {each["clientState"] for each in done} == {"DONE"}, done
print(json.dumps([len(done), seconds]))
"""


@attrs.frozen
class Took:
    """What one round of one way took: the call, and the whole command."""

    call_s: float
    whole_s: float


def fill(rucio: Instance, scope: str, count: int, size_bytes: int) -> tuple[Did, list[Path]]:
    """Put files into the archive, where they lie on site; return their block and their places."""
    add_scope(rucio.home.path, scope)
    catalogue = RucioCatalogue.connect(rucio.client_config())
    files, places = [], []
    for number in range(count):
        lfn = registration(scope, number).lfn
        place = rucio.storage(ONSITE) / str(lfn)[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as stream:
            for _ in range(size_bytes // _PIECE):
                stream.write(os.urandom(_PIECE))
        size, digests = digest_file(place)
        files.append(registration(scope, number, size_bytes=size, adler32=digests["adler32"]))
        places.append(place)
    block = block_of(scope)
    catalogue.ensure_directories([file.lfn for file in files])
    catalogue.open_block(block)
    catalogue.register(block, ONSITE, files)
    catalogue.close_block(block)
    return block, places


def by_cp(places: list[Path], folder: Path, *, sync: bool) -> Took:
    begin_s = time.perf_counter()
    subprocess.run(["cp", *map(str, places), str(folder)], check=True)
    if sync:
        subprocess.run(["sync", "--file-system", str(folder)], check=True)
    taken_s = time.perf_counter() - begin_s
    return Took(taken_s, taken_s)


def by_client(rucio: Instance, program: str, name: str, folder: Path, count: int) -> Took:
    environment = os.environ | {"RUCIO_CONFIG": str(rucio.client_config())}
    command = [sys.executable, "-c", program, name, str(folder)]
    begin_s = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    whole_s = time.perf_counter() - begin_s
    number, call_s = json.loads(done.stdout.splitlines()[-1])
    assert number == count
    return Took(call_s, whole_s)


def compare(rucio: Instance, work: Path, scope: str, count: int, size_bytes: int, rounds: int) -> None:
    """Print the table for files of one size."""
    block, places = fill(rucio, scope, count, size_bytes)
    ways: dict[str, Callable[[Path], Took]] = {
        "cp": lambda folder: by_cp(places, folder, sync=False),
        "cp, sync": lambda folder: by_cp(places, folder, sync=True),
        "ours": lambda folder: by_client(rucio, _OURS, block.name, folder, count),
        "stock": lambda folder: by_client(rucio, _STOCK, str(block), folder, count),
    }
    took: dict[str, list[Took]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            folder = work / "to"
            folder.mkdir()
            took[way].append(run(folder))
            assert sum(path.stat().st_size for path in folder.iterdir()) == count * size_bytes
            shutil.rmtree(folder)
            os.sync()
    print(f"\n{count} files of {size_bytes / 1e6:,.0f} MB, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    print(f"{'way':<10}{'best s':>9}{'median s':>10}{'MB/s':>8}{'to cp':>8}{'whole s':>9}")
    plain = min(each.call_s for each in took["cp"])
    for way, each in took.items():
        calls = [one.call_s for one in each]
        rate, whole_s = count * size_bytes / 1e6 / min(calls), min(one.whole_s for one in each)
        print(
            f"{way:<10}{min(calls):>9.2f}{statistics.median(calls):>10.2f}{rate:>8.0f}{min(calls) / plain:>8.2f}"
            f"{whole_s:>9.2f}",
            flush=True,
        )
    for place in places:
        place.unlink()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=1000, help="how many files of 1 MB")
    parser.add_argument("--large", type=int, default=4, help="how many files of 1 GB")
    parser.add_argument("--folder", type=Path, help="where to make the embedded Rucio; 10 GB must be free")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name, start(Path(name) / "rucio") as rucio:
        if options.small:
            compare(rucio, Path(name), "small", options.small, 1_000_000, options.rounds)
        if options.large:
            compare(rucio, Path(name), "large", options.large, 1_000_000_000, options.rounds)


if __name__ == "__main__":
    main()
