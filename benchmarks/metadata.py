"""Time of questions about metadata, as the archive grows, beside Rucio's own JSON plugin.

Run ``python benchmarks/metadata.py --rows 1000000``. Products of 500 nights are made by SQL in a real Rucio's database,
the same for both plugins: rows of data identifiers, of our table, and of the JSON plugin's. The questions go to the
plugins in-process, as the server puts them, at 10 %, 30 % and all of the rows; what they look for lies in the first
10 %, in the middle of all time, so that the hits stay as they are while the rows grow on either side. Shown is the
median of several turns, and the indexes that PostgreSQL's plan names.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ctao_bdms.embedded import start

NIGHTS = 500
STAGES = (0.1, 0.3, 1.0)
FOLDER = "/ctao/acada/DL0/LSTN-02/ctao-n-acada/acada-adh/events"
QUESTIONS: dict[str, dict[str, Any]] = {
    "obs_id": {"instance__obs_id": 2_000_005_105},
    "night, telescope": {"instance__observing_night": "2026-11-21", "instance__ae_id": 2},
    "an hour": {
        "observation__coverage__time__t_min.lt": "2026-11-21T23:00:00",
        "observation__coverage__time__t_max.gte": "2026-11-21T22:00:00",
    },
    "level, release": {"data__level": "DL3", "curation__release": "DataPipe/Observation/DR25"},
    "name*": {"name": f"{FOLDER}/2026/11/21/*", "data__level": "DL0"},
}

# One product: its night, its place in it, and what follows.
BATCH = """
create temp table batch on commit drop as
with place as (
    select i, mod(i / {size} + {nights} / 2, {nights}) as night, mod(i, {size}) as j
    from generate_series({first}, {last} - 1) as i
), named as (
    select *, 1 + mod(j, 4) as ae_id, mod(j, {size} / 20) / 4 as chunk,
        2000000001 + night * 20 + j * 20 / {size} as obs_id,
        timestamptz '2026-03-11 20:00Z' + night * interval '1 day' + j * interval '10 hours' / {size} as t_min,
        date '2026-03-11' + night as evening,
        case when mod(j, 10) < 8 then 'DL0' when mod(j, 10) = 8 then 'DL1' else 'DL3' end as level,
        'DataPipe/Observation/DR' || night / 10 as release
    from place
)
select *, format('/ctao/acada/DL0/LSTN-%%s/ctao-n-acada/acada-adh/events/%%s/TEL%%s_SDH0001_%%s_OBSID%%s_CHUNK%%s.%%s',
    lpad(ae_id::text, 2, '0'), to_char(evening, 'YYYY/MM/DD'), lpad(ae_id::text, 3, '0'),
    to_char(t_min at time zone 'UTC', 'YYYYMMDD"T"HH24MISS'), obs_id, lpad(chunk::text, 3, '0'), i) as name
from named
"""
DIDS = """
insert into rucio.dids (scope, name, account, did_type, is_open, bytes, adler32, hidden, suppressed, obsolete,
    monotonic, complete, is_new, purge_replicas, access_cnt, transient, availability, created_at, updated_at)
select 'acada', name, 'root', 'F', null, 1000000, '00000001', false, false, false, false, null, null, true, 0, false,
    'A', now(), now() from batch
"""
OURS = """
insert into rucio.ctao_metadata (scope, name, data__level, data__division, data__association, data__type,
    instance__obs_id, instance__ae_id, instance__chunk_id, instance__observing_night, instance__site_id,
    instance__data_source, curation__release, observation__coverage__time__t_min, observation__coverage__time__t_max,
    acquisition__sb_id)
select 'acada', name, level, 'Event', 'Telescope', 'AirShower', obs_id, ae_id, chunk, evening, 'CTAO-North', 'SDH0001',
    release, t_min, t_min + interval '10 seconds', obs_id from batch
"""
JSON = """
insert into rucio.did_meta (scope, name, did_type, created_at, updated_at, meta)
select 'acada', name, 'F', now(), now(), jsonb_build_object('data__level', level, 'data__division', 'Event',
    'data__association', 'Telescope', 'data__type', 'AirShower', 'instance__obs_id', obs_id, 'instance__ae_id', ae_id,
    'instance__chunk_id', chunk, 'instance__observing_night', to_char(evening, 'YYYY-MM-DD'), 'instance__site_id',
    'CTAO-North', 'instance__data_source', 'SDH0001', 'curation__release', release,
    'observation__coverage__time__t_min', to_char(t_min at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'),
    'observation__coverage__time__t_max',
    to_char((t_min + interval '10 seconds') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'),
    'acquisition__sb_id', obs_id)
from batch
"""


def load(first: int, last: int, size: int) -> None:
    """Add the products `first` to `last` to the three tables, and say how long each took."""
    from rucio.db.sqla.session import get_engine

    seconds = {}
    with get_engine().begin() as connection:
        connection.exec_driver_sql(BATCH.format(first=first, last=last, size=size, nights=NIGHTS))
        for what, statement in (("identifiers", DIDS), ("ours", OURS), ("JSON", JSON)):
            begin = time.perf_counter()
            connection.exec_driver_sql(statement)
            seconds[what] = time.perf_counter() - begin
    with get_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("dids", "ctao_metadata", "did_meta"):
            connection.exec_driver_sql(f"vacuum analyze rucio.{table}")
    rates = ", ".join(f"{what} {(last - first) / taken:.0f}/s" for what, taken in seconds.items())
    print(f"loaded {last - first} rows: {rates}", flush=True)


def ask(plugin: Any, question: dict[str, Any], turns: int) -> tuple[float, int, list[str]]:  # noqa: ANN401 (Rucio)
    """Return the median time (s) of a question to a plugin, its hits, and the indexes of its plan."""
    from rucio.common.types import InternalScope
    from rucio.db.sqla.constants import DatabaseOperationType
    from rucio.db.sqla.session import db_session
    from sqlalchemy import event

    seconds, hits, asked = [], 0, []
    with db_session(DatabaseOperationType.READ) as session:
        connection = session.connection()

        def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:  # noqa: ANN401
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        for turn in range(turns + 1):
            begin = time.perf_counter()
            found = plugin.list_dids(InternalScope("acada"), [dict(question)], did_type="file", session=session)
            hits = len(list(found))
            if turn > 0:  # the first turn warms up
                seconds.append(time.perf_counter() - begin)
        event.remove(connection, "before_cursor_execute", note)
        statement, parameters = asked[-1]
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"explain {statement}", parameters))
    indexes = re.findall(r"(?:using|Index Scan on) (\S+)|(Seq Scan on \S+)", plan)
    return statistics.median(seconds), hits, [first or second for first, second in indexes]


def inside(rows: int, turns: int) -> None:
    """Load and ask, in a process that Rucio's configuration makes a server."""
    from rucio.common.exception import RucioException
    from rucio.core.did_meta_plugins.json_meta import JSONDidMeta
    from sqlalchemy.exc import SQLAlchemyError

    from ctao_bdms.server.metadata import CtaoMetadata

    size = rows // NIGHTS
    plugins = {"ours": CtaoMetadata(), "JSON": JSONDidMeta()}
    table: dict[tuple[str, str], list[str]] = {}
    plans: dict[str, str] = {}
    counts: dict[str, set[int]] = {}
    done = 0
    for stage in STAGES:
        upto = int(stage * NIGHTS) * size
        load(done, upto, size)
        done = upto
        for title, question in QUESTIONS.items():
            for name, plugin in plugins.items():
                try:
                    seconds, hits, plan = ask(plugin, question, turns)
                except (RucioException, SQLAlchemyError) as error:
                    table.setdefault((title, name), []).append(type(error).__name__)
                    continue
                table.setdefault((title, name), []).append(f"{seconds * 1000:.1f} ms")
                counts.setdefault(title, set()).add(hits)
                plans[f"{title} ({name})"] = ", ".join(plan)
    print(f"\n{'question':<18}{'plugin':<8}{'hits':>6}" + "".join(f"{int(s * NIGHTS) * size:>14}" for s in STAGES))
    for (title, name), cells in table.items():
        hits_text = "/".join(map(str, sorted(counts[title])))
        print(f"{title:<18}{name:<8}{hits_text:>6}" + "".join(f"{cell:>14}" for cell in cells))
    print("\nwhat the plans use at the last stage:")
    for title, plan_text in plans.items():
        print(f"  {title}: {plan_text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many products; at least 40 a night")
    parser.add_argument("--turns", type=int, default=5, help="how often each question is asked")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rows < 40 * NIGHTS:
        parser.error(f"--rows: at least {40 * NIGHTS}")
    if options.inside:
        inside(options.rows, options.turns)
        return
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "rucio") as rucio:
        command = [sys.executable, __file__, "--inside", "--rows", str(options.rows), "--turns", str(options.turns)]
        environment = os.environ | {"RUCIO_CONFIG": str(rucio.home.server_config)}
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
