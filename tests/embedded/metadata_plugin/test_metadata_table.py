"""The table of metadata in Rucio's database: its columns, its statements, and the deletion of its rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from ctao_bdms.model import METADATA
from tests.database import expire

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.embedded import Instance
    from tests.embedded.metadata_plugin.night import Archive


def on_server(instance: Instance, code: str, *arguments: str) -> Any:  # noqa: ANN401 (JSON)
    """Run `code` where Rucio's server code runs, and return the JSON that it prints."""
    environment = os.environ | {"RUCIO_CONFIG": str(instance.home.server_config)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_deleted_did_leaves_no_row(archive: Archive, embedded_rucio_instance: Instance) -> None:
    archive.attach({archive.file(0): {"data__level": "DL0"}})
    code = """
import json, sys
from rucio.core.did import delete_dids
from rucio.common.types import InternalAccount, InternalScope
from rucio.db.sqla.constants import DatabaseOperationType, DIDType
from rucio.db.sqla.session import db_session
from sqlalchemy import func, select
from ctao_bdms.server.schema import TABLE
scope = InternalScope(sys.argv[1])
rows = select(func.count()).select_from(TABLE).where(TABLE.c.scope == scope)
did = {"scope": scope, "name": sys.argv[2], "did_type": DIDType.DATASET, "created_at": None, "purge_replicas": True}
counts = []
with db_session(DatabaseOperationType.WRITE) as session:
    counts.append(session.execute(rows).scalar_one())
    delete_dids([did], account=InternalAccount("root"), session=session)
with db_session(DatabaseOperationType.READ) as session:
    counts.append(session.execute(rows).scalar_one())
print(json.dumps(counts))
"""
    assert on_server(embedded_rucio_instance, code, archive.scope, archive.dataset) == [2, 1]
    assert archive.find({"data__level": "DL0"}, did_type="all") == ["f0"]


def test_expired_dataset_and_file_leave_no_row(
    archive: Archive, embedded_rucio_instance: Instance, ask: Callable[..., Any]
) -> None:
    """Rucio's undertaker deletes the dataset, and its reaper the only file."""
    meta = {"data__level": "DL0", "keep": "no"}
    archive.client.set_metadata_bulk(archive.scope, archive.dataset, meta)
    archive.attach({archive.file(0): meta})
    program = """
scope, name = arguments
wait_for(lambda: not list(client.list_dids(scope, [{"name": name + "*"}], did_type="all")))
answer = list(client.list_dids(scope, [{"data__level": "DL0"}, {"keep": "no"}], did_type="all"))
"""
    archive.client.add_replication_rule([{"scope": archive.scope, "name": archive.dataset}], 1, "CTAO-NORTH-ONSITE")
    expire(embedded_rucio_instance, archive.scope, archive.dataset)
    assert ask(embedded_rucio_instance, program, archive.scope, archive.dataset, account="root") == []
    code = """
import json, sys
from rucio.common.types import InternalScope
from rucio.db.sqla.session import get_engine
from sqlalchemy import func, select
from ctao_bdms.server.schema import TABLE
with get_engine().connect() as connection:
    rows = select(func.count()).select_from(TABLE).where(TABLE.c.scope == InternalScope(sys.argv[1]))
    print(json.dumps(connection.execute(rows).scalar_one()))
"""
    assert on_server(embedded_rucio_instance, code, archive.scope) == 0


def test_number_of_statements_does_not_grow_with_the_batch(archive: Archive, embedded_rucio_instance: Instance) -> None:
    code = """
import json, sys
from rucio.core.did import attach_dids, get_metadata, list_dids
from rucio.core.rse import get_rse_id
from rucio.common.types import InternalAccount, InternalScope
from rucio.db.sqla.constants import DatabaseOperationType
from rucio.db.sqla.session import db_session, get_engine
from sqlalchemy import event
scope, dataset, statements = InternalScope(sys.argv[1]), sys.argv[2], []
@event.listens_for(get_engine(), "before_cursor_execute")
def note(connection, cursor, statement, *rest):
    if "ctao_metadata" in statement:
        statements.append(statement)
counts, seen = [], []
for size in (1, 300):
    with db_session(DatabaseOperationType.WRITE) as session:
        rse = get_rse_id("CTAO-NORTH-ONSITE", session=session)
        files = [{"scope": scope, "name": f"{dataset}/{size}-{i}", "bytes": 1, "adler32": "00000001",
                  "meta": {"instance__chunk_id": i, "data__level": "DL0", "free key": i}} for i in range(size)]
        statements.clear()
        attach_dids(scope, dataset, files, InternalAccount("root"), rse_id=rse, session=session)
        before = len(statements)
        session.commit()
        counts.append([before, len(statements)])
with db_session(DatabaseOperationType.WRITE) as session:
    more = [dict(files[0], name=f"{dataset}/more", meta={"data__level": "DL9"})]
    attach_dids(scope, dataset, more, InternalAccount("root"), rse_id=rse, session=session)
    seen += list_dids(scope, [{"data__level": "DL9"}], did_type="file", session=session)
    seen.append(get_metadata(scope, more[0]["name"], plugin="CTAO", session=session))
    session.rollback()
with db_session(DatabaseOperationType.READ) as session:
    seen += list_dids(scope, [{"data__level": "DL9"}], did_type="file", session=session)
print(json.dumps([counts, seen]))
"""
    counts, seen = on_server(embedded_rucio_instance, code, archive.scope, archive.dataset)
    assert counts == [[0, 1], [0, 1]]
    # a transaction sees what it has set, and nobody sees it after a failure
    assert seen == [f"{archive.dataset}/more", {"data__level": "DL9"}]
    assert len(archive.find({"data__level": "DL0"})) == 301


def test_table_matches_the_model(embedded_rucio_instance: Instance) -> None:
    code = """
import json
from rucio.core.did_meta_plugins import METADATA_PLUGIN_MODULES
from rucio.db.sqla.session import get_engine
from sqlalchemy import inspect
from ctao_bdms.server.migration import migrate
from ctao_bdms.server.schema import TABLE
assert migrate() == ()
there = inspect(get_engine())
columns = {column["name"]: str(column["type"]) for column in there.get_columns(TABLE.name, TABLE.schema)}
indexes = [index["column_names"] for index in there.get_indexes(TABLE.name, TABLE.schema)]
taken = [key for key in columns if METADATA_PLUGIN_MODULES[0].manages_key(key)]
plugins = [plugin.name for plugin in METADATA_PLUGIN_MODULES]
print(json.dumps([columns, indexes, taken, plugins]))
"""
    columns, indexes, taken, plugins = on_server(embedded_rucio_instance, code)
    assert list(columns) == ["scope", "name", *METADATA, "free"]
    assert {keys[0] for keys in indexes} == {key for key, row in METADATA.items() if row.indexed} | {
        "name",
        "free",
        None,  # an expression
    }
    assert ["instance__observing_night", "instance__ae_id"] in indexes
    assert taken == ["name"]  # none of our keys is one of Rucio's columns
    assert plugins == ["did_column", "ctao"]
    assert columns["instance__obs_id"] == "BIGINT"
    assert columns["instance__observing_night"] == "DATE"
    assert columns["observation__coverage__time__t_min"] == "TIMESTAMP"
    assert columns["observation__coverage__space__ra"] == "DOUBLE PRECISION"
