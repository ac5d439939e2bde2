"""Time to find products, beside the stock client doing the same.

Run ``python benchmarks/access.py query``. Products of several nights are inserted by SQL into a real Rucio on this
machine. Ours are read page by page; the stock client lists the names with the same filter and asks the metadata of each
thousand of them. In turns; the median is shown. Memory is the peak of what Python has allocated, measured in a turn of
its own.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms.access import build_query, parse_query
from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import start
from ctao_bdms.replication import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ctao_bdms.embedded import Instance

SCOPE = "acada"
_BULK = 1000

_DIDS = """
insert into rucio.dids (scope, name, account, did_type, is_open, bytes, adler32, hidden, suppressed, obsolete,
    monotonic, complete, is_new, purge_replicas, access_cnt, transient, availability, created_at, updated_at)
select 'acada', format('/ctao/acada/DL0/LSTN-%%s/ctao-n-acada/events/%%s/file%%s.fits.fz', 1 + mod(i, 4), i / {night},
    lpad(i::text, 9, '0')), 'root', 'F', null, 1000000 + i, '00000001', false, false, false, false, null, null, true, 0,
    false, 'A', now(), now() from generate_series(0, {rows} - 1) as i
"""
_METADATA = """
insert into rucio.ctao_metadata (scope, name, data__level, data__division, data__association, data__type,
    instance__obs_id, instance__ae_id, instance__chunk_id, instance__observing_night, instance__site_id,
    instance__data_source, observation__coverage__time__t_min, observation__coverage__time__t_max, acquisition__sb_id,
    observation__coverage__space__ra, observation__coverage__space__dec)
select scope, name, 'DL0', 'Event', 'Telescope', 'AirShower', 2000000001 + i / 500, 1 + mod(i, 4), mod(i, 500),
    date '2026-11-01' + i / {night}, 'CTAO-North', 'SDH0001', timestamptz '2026-11-01 20:00Z' + i * interval '1 second',
    timestamptz '2026-11-01 20:00Z' + i * interval '1 second' + interval '10 seconds', 2000000001 + i / 5000,
    mod(i / 500 * 7.13, 360), mod(i / 500 * 3.17, 180) - 90
from (
    select scope, name, (bytes - 1000000)::integer as i from rucio.dids where scope = 'acada' and did_type = 'F'
) as files
"""


def load(rows: int) -> None:
    """Insert products into Rucio's database, in a process that its configuration makes a server."""
    from rucio.db.sqla.session import get_engine

    with get_engine().begin() as connection:
        for statement in (_DIDS, _METADATA):
            connection.exec_driver_sql(statement.format(rows=rows, night=max(1, rows // 4)))
    with get_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("dids", "ctao_metadata"):
            connection.exec_driver_sql(f"vacuum analyze rucio.{table}")


def on_server(rucio: Instance, *arguments: str) -> None:
    """Run this program where Rucio's server code runs."""
    environment = os.environ | {"RUCIO_CONFIG": str(rucio.home.server_config)}
    subprocess.run([sys.executable, __file__, *arguments], env=environment, check=True)


def _first(rows: Iterator[Any]) -> int:
    return sum(1 for _ in itertools.islice(rows, 1))


def _all(rows: Iterator[Any]) -> int:
    return sum(1 for _ in rows)


def measure(make: Callable[[], Iterator[Any]], turns: int) -> tuple[int, float, float, float]:
    """Return hits, median seconds to the first row and to the last, and the peak of memory (bytes)."""
    seconds: dict[Callable[[Iterator[Any]], int], list[float]] = {_first: [], _all: []}
    hits = 0
    for _ in range(turns):
        for until, taken in seconds.items():
            begin = time.perf_counter()
            hits = until(make())
            taken.append(time.perf_counter() - begin)
    tracemalloc.start()
    _all(make())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return hits, statistics.median(seconds[_first]), statistics.median(seconds[_all]), peak


def stock(catalogue: RucioCatalogue, filters: dict[str, Any]) -> Iterator[Any]:
    """Yield names and metadata as a client does that knows Rucio's own calls."""
    client = catalogue.client
    names = list(client.list_dids(SCOPE, [dict(filters)], did_type="file"))
    for at in range(0, len(names), _BULK):
        dids = [{"scope": SCOPE, "name": name} for name in names[at : at + _BULK]]
        yield from client.get_metadata_bulk(dids, plugin="ALL")


def query(rows: int, turns: int) -> None:
    """Print how long it takes to find few and many products, ours beside the stock client."""
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "rucio") as rucio:
        on_server(rucio, "--load", "--rows", str(rows))
        catalogue = RucioCatalogue.connect(rucio.client_config())
        counted = [0]
        catalogue.count_requests(lambda _: counted.__setitem__(0, counted[0] + 1))
        bdms = Bdms(catalogue, policy=Policy.load())
        head = f"{'build_query':<34}{'way':<8}{'hits':>7}{'first row':>12}{'all':>10}{'peak':>11}{'requests':>10}"
        print(head, flush=True)

        def row(title: str, way: str, make: Callable[[], Iterator[Any]]) -> None:
            hits, first, last, peak = measure(make, turns)
            counted[0] = 0
            _all(make())
            print(
                f"{title:<34}{way:<8}{hits:>7}{first * 1000:>9.0f} ms{last:>8.2f} s{peak / 1e6:>8.1f} MB"
                f"{counted[0]:>10}",
                flush=True,
            )

        def ask(**words: Any) -> Callable[[], Iterator[Any]]:  # noqa: ANN401
            return lambda: iter(bdms.query(scope=SCOPE, **words))

        row("obs_id=2000000002", "ours", ask(**parse_query(["obs_id=2000000002"])))
        row("obs_id=2000000002", "stock", lambda: stock(catalogue, {"instance__obs_id": 2_000_000_002}))
        row("level=DL0", "ours", ask(level="DL0"))
        row("level=DL0 --sort=-start_time", "ours", ask(level="DL0", sort="-start_time"))
        row("level=DL0 --sort=-size --limit 20", "ours", ask(level="DL0", sort="-size", limit=20))
        row("near=83.63,22.01,10", "ours", ask(near=(83.63, 22.01, 10)))
        row("level=DL0 copies=0", "ours", ask(level="DL0", copies=0))

        def count() -> Iterator[Any]:
            built = build_query([SCOPE], {"level": "DL0"})
            yield built.count(catalogue, bdms.replication.now)

        row("level=DL0 --count", "ours", count)
        turns = 1  # it takes minutes
        row("level=DL0", "stock", lambda: stock(catalogue, {"data__level": "DL0"}))


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", action="store_true", help="for itself: inserts the products")
    parser.add_argument("--rows", type=int, default=50_000, help="how many products there are")
    parser.add_argument("--turns", type=int, default=5, help="how often each way is measured")
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.load:
        load(options.rows)
        return
    query(options.rows, options.turns)


if __name__ == "__main__":
    main()
