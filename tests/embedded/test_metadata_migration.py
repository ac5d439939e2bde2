"""A table of an earlier version becomes that of this one, with all its values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from ctao_bdms.embedded import start
from ctao_bdms.embedded.home import Home
from ctao_bdms.embedded.state import State
from ctao_bdms.errors import EmbeddedError
from ctao_bdms.model import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctao_bdms.embedded import Instance

SCOPE, DATASET = "acada", "/ctao/acada/DL0"
#: What an earlier version had: fewer columns and indexes, a bounded text, a key that has been dropped since.
EARLIER = """
set search_path to rucio;
alter table ctao_metadata add column instance__dropped text;
update ctao_metadata set instance__dropped = 'kept', free = free || '{"instance__obs_id": "7", "data__type": 5}';
alter table ctao_metadata drop column instance__obs_id, drop column data__type, drop column curation__release;
alter table ctao_metadata drop column integrity__datasums;
alter table ctao_metadata alter column data__level type varchar(250) collate "C";
drop index ctao_metadata_interval_idx;
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("migration") / "home"


@pytest.fixture(scope="module")
def sql(home: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    """Ask the database of the home while it runs."""

    def function(statement: str) -> list[tuple[Any, ...]]:
        place = Home(home)
        state = State.load(place.state_file)
        assert state is not None
        config = place.server_config.read_text()
        (url,) = (line.partition("=")[2].strip() for line in config.splitlines() if line.startswith("default ="))
        libpq = url.replace("%%", "%").replace("postgresql+psycopg:", "postgresql:")
        with psycopg.connect(libpq) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return function


@pytest.fixture(scope="module")
def earlier(home: Path, ask: Callable[..., Any], sql: Callable[[str], Any]) -> None:
    """Leave the table as an earlier version has made it."""
    with start(home) as instance:
        ask(instance, ADD, SCOPE, DATASET)
        sql(EARLIER)


ADD = """
scope, name = arguments
meta = {"data__level": "DL0", "curation__release": "gone", "run": 3}
client.add_did(scope, name, "DATASET", meta=meta)
answer = None
"""
GET = """
scope, name = arguments
answer = client.get_metadata(scope, name, plugin="CTAO")
"""


def columns(sql: Callable[[str], Any]) -> dict[str, str]:
    statement = "select column_name, data_type from information_schema.columns where table_name = 'ctao_metadata'"
    return dict(sql(statement))


def indexes(sql: Callable[[str], Any]) -> set[str]:
    return {name for (name,) in sql("select indexname from pg_indexes where tablename = 'ctao_metadata'")}


@pytest.mark.usefixtures("earlier")
def test_a_later_version_brings_the_table_up_to_date_without_loss(
    home: Path, ask: Callable[..., Any], sql: Callable[[str], Any]
) -> None:
    def known(instance: Instance) -> Any:  # noqa: ANN401 (JSON)
        return ask(instance, GET, SCOPE, DATASET)

    with start(home) as instance:
        found = columns(sql)
        assert set(found) == {"scope", "name", "free", "instance__dropped", *METADATA}
        assert (found["data__level"], found["instance__obs_id"]) == ("text", "bigint")
        assert {"ctao_metadata_interval_idx", "ctao_metadata_instance__obs_id_idx"} <= indexes(sql)
        assert "ctao_metadata_curation__release_data__level_idx" in indexes(sql)
        # what was free and has a column now has moved there, typed; what does not fit has stayed
        assert known(instance) == {"data__level": "DL0", "run": 3, "instance__obs_id": 7, "data__type": 5}
        kept = sql("select instance__dropped, instance__obs_id, free from rucio.ctao_metadata")
        assert kept == [("kept", 7, {"run": 3, "data__type": 5})]
        ask(instance, 'client.set_metadata(*arguments, "data__type", "Event"); answer = None', SCOPE, DATASET)
        assert known(instance)["data__type"] == "Event"


@pytest.mark.usefixtures("earlier")
def test_a_column_of_another_type_is_not_touched(home: Path, sql: Callable[[str], Any]) -> None:
    with start(home):
        sql("alter table rucio.ctao_metadata alter column instance__obs_id type text")
    with pytest.raises(EmbeddedError) as caught, start(home):
        pass
    log = Home(home).log / "refresh.log"
    told = str(caught.value) + (log.read_text() if log.exists() else "")
    assert "column instance__obs_id of rucio.ctao_metadata has the type TEXT" in told
    assert "convert it first" in told
    assert "Traceback" not in told
