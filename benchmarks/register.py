"""Files per second into a real Rucio: one by one, as a plain client would, and in batches, as ours does.

Run ``python benchmarks/register.py``. All ways take turns against the same server in one run, each with new names in
known directories and seven metadata keys a file; the median over the rounds is shown, and the ratio to one by one.

* one by one: ``add_replica``, ``attach_dids``, ``set_metadata_bulk``, three requests a file.
* ours: look up, open a block, register (identifier, replica, metadata, directory and block in one transaction), close
  the block: four requests a batch.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import start
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.model import Registration

SCOPE = "acada"


def one_by_one(catalogue: RucioCatalogue, files: Sequence[Registration]) -> None:
    """Register as a client does that knows Rucio's calls for one file."""
    client = catalogue.client
    for file in files:
        name, directory = str(file.lfn), str(file.lfn.parent)
        client.add_replica(ONSITE, SCOPE, name, file.size_bytes, file.adler32)
        client.attach_dids(SCOPE, directory, [{"scope": SCOPE, "name": name}])
        client.set_metadata_bulk(SCOPE, name, file.metadata.to_wire())


def in_a_batch(catalogue: RucioCatalogue, files: Sequence[Registration], token: int) -> None:
    """Register as ours does."""
    assert not catalogue.files([file.lfn for file in files])
    block = block_of(SCOPE, f"{token:08x}")
    catalogue.open_block(block)
    catalogue.register(block, ONSITE, files)
    catalogue.close_block(block)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how many turns each way takes")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 10, 100, 300], help="sizes of our batches")
    options = parser.parse_args()
    numbers, tokens = itertools.count(), itertools.count()

    def new(count: int) -> list[Registration]:
        return [registration(SCOPE, next(numbers)) for _ in range(count)]

    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "rucio") as rucio:
        # As root, for one by one needs rights that the ingest account has not.
        catalogue = RucioCatalogue.connect(rucio.client_config("root"))
        catalogue.ensure_directories([file.lfn for file in new(8)])
        rates: dict[str, list[float]] = {}
        requests: dict[str, float] = {}
        counted = [0]
        catalogue.count_requests(lambda _: counted.__setitem__(0, counted[0] + 1))
        for turn in range(options.rounds + 1):
            for batch in [0, *options.batches]:
                files = new(max(20, batch) if batch else 20)
                counted[0], begin = 0, time.perf_counter()
                if batch == 0:
                    one_by_one(catalogue, files)
                else:
                    for at in range(0, len(files), batch):
                        in_a_batch(catalogue, files[at : at + batch], next(tokens))
                seconds = time.perf_counter() - begin
                name = f"batches of {batch}" if batch else "one by one"
                requests[name] = counted[0] / len(files)
                if turn > 0:  # the first turn warms up
                    rates.setdefault(name, []).append(len(files) / seconds)
    plain = statistics.median(rates["one by one"])
    print(f"{'way':<16}{'files/s':>9}{'min':>8}{'max':>8}{'ratio':>8}{'requests/file':>15}")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(
            f"{name:<16}{rate:>9.1f}{min(values):>8.1f}{max(values):>8.1f}{rate / plain:>8.1f}{requests[name]:>15.3f}"
        )


if __name__ == "__main__":
    main()
