"""The metadata plugin inside a real Rucio, asked by Rucio's own client."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import add_scope
from ctao_bdms.model import METADATA, ProductMetadata
from ctao_bdms.model.plugin_filters import HEADER, NEAR, PAGE, VALID
from tests.database import expire

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.embedded import Instance

    Ask = Callable[..., Any]

RSE = "CTAO-NORTH-ONSITE"
T0 = dt.datetime(2026, 11, 22, 1, 30, 0, 123456, tzinfo=dt.UTC)
#: Metadata of the files f0 to f5 of a night: two telescopes, three chunks.
NIGHT = [
    {
        "data__level": "DL0",
        "data__type": ("AirShower", "Calibration")[chunk == 2],
        "instance__ae_id": telescope,
        "instance__chunk_id": chunk,
        "instance__obs_id": 2_000_000_001,
        "instance__observing_night": dt.date(2026, 11, 21),
        "instance__data_source": f"00{telescope}_{chunk}",
        "observation__coverage__time__t_min": T0 + dt.timedelta(minutes=chunk),
        "observation__coverage__time__t_max": T0 + dt.timedelta(minutes=chunk + 1),
        "observation__coverage__space__ra": 83.633 + chunk,
        "curation__release": "DataPipe/Observation/DR1",
    }
    for telescope in (1, 2)
    for chunk in (0, 1, 2)
]
del NIGHT[5]["curation__release"]
del NIGHT[4]["observation__coverage__time__t_max"]
#: Keys that the data model does not know.
FREE: list[dict[str, Any]] = [
    {"camp_aign": "Prod6-North"},
    {"stage": 5},
    {"stage": "5", "camp_aign": "Prod5"},
    {"stage": 7.5, "steps": [1, {"a": None}]},
    {"good": True},
    {"good": False, "x'y\"z": "'; --"},
]


def wire(number: int) -> dict[str, Any]:
    """Return the metadata of a file of the night as REST carries them."""
    return FREE[number] | ProductMetadata(NIGHT[number]).to_wire()


@attrs.frozen
class Archive:
    """A scope of a test in a running Rucio, with the files of `NIGHT` in a dataset."""

    client: Any
    scope: str

    @property
    def dataset(self) -> str:
        return f"/ctao/{self.scope}/DL0"

    def file(self, number: int) -> str:
        return f"{self.dataset}/f{number}"

    def attach(self, files: dict[str, dict[str, Any]]) -> None:
        dids = [
            {"scope": self.scope, "name": name, "bytes": 10 + index, "adler32": "0000000a", "meta": meta}
            for index, (name, meta) in enumerate(files.items())
        ]
        self.client.attach_dids(self.scope, self.dataset, dids, rse=RSE)

    def find(self, *filters: dict[str, Any], did_type: str = "file") -> list[str]:
        names = self.client.list_dids(self.scope, filters=list(filters), did_type=did_type)
        return sorted(name.removeprefix(f"{self.dataset}/") for name in names)

    def metadata(self, name: str) -> dict[str, Any]:
        found = self.client.get_metadata(self.scope, name, plugin="CTAO")
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def client(embedded_rucio_instance: Instance) -> Any:  # noqa: ANN401 (Rucio has no types)
    """Rucio's client as the ingest account.

    Rucio reads its configuration once for a process, and this one may have read that of another Rucio.
    """
    return RucioCatalogue.connect(embedded_rucio_instance.client_config()).client


def new_archive(client: Any, instance: Instance) -> Archive:  # noqa: ANN401 (Rucio has no types)
    archive = Archive(client, f"t{secrets.token_hex(4)}")
    add_scope(instance.home.path, archive.scope)
    client.add_did(archive.scope, archive.dataset, "DATASET", meta={"data__level": "DL0", "description": "a night"})
    return archive


@pytest.fixture(scope="module")
def night(client: Any, embedded_rucio_instance: Instance) -> Archive:  # noqa: ANN401
    """A night that no test changes."""
    archive = new_archive(client, embedded_rucio_instance)
    archive.attach({archive.file(i): wire(i) for i in range(len(NIGHT))})
    return archive


@pytest.fixture
def archive(client: Any, embedded_rucio_instance: Instance) -> Archive:  # noqa: ANN401
    """An empty dataset."""
    return new_archive(client, embedded_rucio_instance)


def on_server(instance: Instance, code: str, *arguments: str) -> Any:  # noqa: ANN401 (JSON)
    """Run `code` where Rucio's server code runs, and return the JSON that it prints."""
    environment = os.environ | {"RUCIO_CONFIG": str(instance.home.server_config)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_metadata_given_with_the_files_are_there_typed(night: Archive) -> None:
    for number, values in enumerate(NIGHT):
        found = night.metadata(night.file(number))
        assert found == wire(number)
        assert dict(ProductMetadata({key: found[key] for key in values})) == values
    assert night.metadata(night.dataset) == {"data__level": "DL0", "description": "a night"}


def test_all_plugins_together_give_rucios_columns_and_ours(night: Archive) -> None:
    found = night.client.get_metadata(night.scope, night.file(0), plugin="ALL")
    assert found["instance__obs_id"] == 2_000_000_001
    assert (found["bytes"], found["adler32"], found["did_type"]) == (10, "0000000a", "FILE")
    dids = [{"scope": night.scope, "name": night.file(i)} for i in range(6)]
    bulk = {row["name"]: row for row in night.client.get_metadata_bulk(dids, plugin="ALL", inherit=True)}
    assert [bulk[night.file(i)]["instance__chunk_id"] for i in range(6)] == [0, 1, 2, 0, 1, 2]
    assert bulk[night.file(0)]["description"] == "a night"  # from its dataset


def filled(value: object, night: Archive) -> object:
    if isinstance(value, list):
        return [filled(each, night) for each in value]
    return value.replace("{dataset}", night.dataset) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"instance__ae_id": 1}, "f0 f1 f2"),
        ({"instance__ae_id": "1"}, "f0 f1 f2"),
        ({"instance__ae_id.ne": 1}, "f3 f4 f5"),
        ({"instance__chunk_id.gt": 0, "instance__chunk_id.lt": 2}, "f1 f4"),
        ({"instance__chunk_id.gte": 1}, "f1 f2 f4 f5"),
        ({"instance__chunk_id.lte": "1", "instance__ae_id": 2}, "f3 f4"),
        ({"data__type": "Air*"}, "f0 f1 f3 f4"),
        ({"data__type": "%Shower"}, "f0 f1 f3 f4"),
        ({"data__type.ne": "Air*"}, "f2 f5"),
        ({"data__type": "*", "instance__ae_id": 1}, "f0 f1 f2"),
        ({"data__type.gt": "AirShower"}, "f2 f5"),
        ({"instance__data_source": "001_0"}, "f0"),
        ({"instance__data_source": "001_*"}, "f0 f1 f2"),
        ({"instance__data_source": "00__0*"}, ""),  # an underscore is an underscore
        ({"curation__release": "DataPipe/Observation/*"}, "f0 f1 f2 f3 f4"),
        ({"curation__release.ne": "DataPipe/Observation/DR1"}, "f5"),  # no value differs from every value
        ({"curation__release.ne": "DataPipe/*"}, "f5"),
        ({"instance__observing_night": "2026-11-21"}, "f0 f1 f2 f3 f4 f5"),
        ({"instance__observing_night.gt": "2026-11-21"}, ""),
        ({"observation__coverage__time__t_min": T0.isoformat()}, "f0 f3"),
        ({"observation__coverage__time__t_min.gt": "2026-11-22T01:30:00.123456"}, "f1 f2 f4 f5"),
        ({"observation__coverage__time__t_min.gte": "2026-11-22T01:30:00.123456Z"}, "f0 f1 f2 f3 f4 f5"),
        ({"observation__coverage__time__t_min.lt": "2026-11-22 02:31:00.2+01:00"}, "f0 f1 f3 f4"),
        (
            {"observation__coverage__time__t_min.lt": "Sun, 22 Nov 2026 01:31:00 UTC"},
            "f0 f3",
        ),  # as Rucio's client has it
        ({"observation__coverage__space__ra.gt": 84}, "f1 f2 f4 f5"),
        ({"observation__coverage__space__ra": 83.633}, "f0 f3"),
        ({"name": "{dataset}/*1", "data__level": "DL0"}, "f1"),
        ({"name": "{dataset}/f1", "data__level": "DL0"}, "f1"),
        ({"name": "*", "data__level": "DL1"}, ""),
        ({"data__level": "' or '1'='1"}, ""),
        ({"instance__chunk_id": [0, 2]}, "f0 f2 f3 f5"),
        ({"instance__chunk_id.in": ["0", 2], "instance__ae_id": 2}, "f3 f5"),
        ({"instance__chunk_id.in": 1}, "f1 f4"),
        ({"instance__chunk_id.ne": [0, 2]}, "f1 f4"),
        ({"instance__chunk_id": []}, ""),
        ({"data__type": ["Cali*", "nothing"]}, "f2 f5"),
        ({"name": ["{dataset}/f1", "{dataset}/*2"], "data__level": "DL0"}, "f1 f2"),
        ({"stage": 5}, "f1"),
        ({"stage": "5"}, "f1 f2"),  # a text may be meant as the number that it spells
        ({"stage.ne": 5}, "f0 f2 f3 f4 f5"),
        ({"stage.gt": 4}, "f1 f3"),
        ({"stage.lte": "5.5"}, "f1"),
        ({"stage.gt": "a"}, ""),
        ({"stage": [5, 7.5]}, "f1 f3"),
        ({"camp_aign": "Prod6*"}, "f0"),
        ({"camp_aign.ne": "Prod6*"}, "f1 f2 f3 f4 f5"),
        ({"camp_aign": "Prod6-North", "instance__ae_id": 1}, "f0"),
        ({"good": True}, "f4"),
        ({"good": "True"}, "f4"),
        ({"good.ne": True, "instance__ae_id": 2}, "f3 f5"),
        ({"stage": "5' or '1'='1", "x'y\"z": "a"}, ""),
        ({"x'y\"z": "'; --"}, "f5"),
        ({"nobody has set this": 1}, ""),
    ],
)
def test_a_filter_finds(night: Archive, asked: dict[str, Any], found: str) -> None:
    assert night.find({key: filled(value, night) for key, value in asked.items()}) == found.split()


def test_of_several_groups_one_must_hold(night: Archive) -> None:
    assert night.find({"instance__ae_id": 1, "instance__chunk_id": 0}, {"instance__chunk_id": 2}) == ["f0", "f2", "f5"]
    assert night.find({"instance__chunk_id": 2}, {"instance__ae_id": 2, "instance__chunk_id.gte": 1}) == [
        "f2",
        "f4",
        "f5",
    ]


@pytest.mark.parametrize(
    ("did_type", "found"),
    [("dataset", 1), ("collection", 1), ("container", 0), ("file", 6), ("all", 7), ("FILE", 6)],
)
def test_the_type_of_data_identifier_counts(night: Archive, did_type: str, found: int) -> None:
    assert len(night.find({"data__level": "DL0"}, did_type=did_type)) == found


def test_a_page_begins_after_a_row_and_says_that_it_was_understood(night: Archive) -> None:
    def page(**asked: Any) -> list[Any]:  # noqa: ANN401
        question = [{"data__level": "DL0", PAGE: asked}]
        return list(night.client.list_dids(night.scope, question, did_type="file", long=True))

    header, *rows = page(order=["-instance__ae_id"], limit=4)
    assert header == HEADER
    expected = sorted(range(6), key=lambda i: (-float(NIGHT[i].get("instance__ae_id", -1)), i))  # type: ignore[arg-type]
    assert [row["name"] for row in rows] == [night.file(i) for i in expected[:4]]
    after = [rows[-1].get("instance__ae_id"), rows[-1]["name"]]
    assert [row["name"] for row in page(order=["-instance__ae_id"], after=after)[1:]] == [
        night.file(i) for i in expected[4:]
    ]
    assert page(tally="") == [HEADER, {"value": None, "count": 6}]


@pytest.mark.parametrize(
    "question",
    [
        {PAGE: "first"},
        {PAGE: {"order": ["nothing"]}},
        {PAGE: {"tally": "nothing"}},
        {PAGE: {"limit": "few"}},
        {PAGE: {"limit": -1}},
        {PAGE: {"order": ["instance__ae_id"], "after": ["name"]}},
        {PAGE: {"order": ["instance__ae_id"], "after": ["x", "name"]}},
        {NEAR: [1, 2]},
        {NEAR: [1, 2, -3]},
        {NEAR: "Crab"},
        {NEAR: ["a", "b", "c"]},
        {VALID: "always"},
    ],
)
def test_what_is_no_page_and_no_place_is_refused(night: Archive, question: dict[str, Any]) -> None:
    from rucio.common.exception import DIDFilterSyntaxError, InvalidMetadata

    with pytest.raises((DIDFilterSyntaxError, InvalidMetadata)):
        list(night.client.list_dids(night.scope, [question], did_type="file", long=True))


def test_the_long_form_has_all_that_is_known_and_the_recursive_one_what_is_inside(night: Archive) -> None:
    question = [{"instance__chunk_id": 1}]
    rows = list(night.client.list_dids(night.scope, filters=question, did_type="file", long=True))
    assert sorted(rows, key=lambda row: str(row["name"])) == [
        {
            "scope": night.scope,
            "name": night.file(i),
            "did_type": "FILE",
            "bytes": 10 + i,
            "length": None,
            "adler32": "0000000a",
            **wire(i),
        }
        for i in (1, 4)
    ]
    by_name = [{"name": night.dataset, "data__level": "DL0"}]
    names = night.client.list_dids(night.scope, filters=by_name, did_type="all", recursive=True)
    assert sorted(names) == [night.dataset, *(night.file(i) for i in range(6))]


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"instance__obs_id": "many"}, "InvalidMetadata", "'many' is no "),
        ({"instance__obs_id": "00123.5"}, "InvalidMetadata", "'00123.5' is no "),
        ({"instance__observing_night": "yesterday"}, "InvalidMetadata", "'yesterday' is no date"),
        ({"data__level.like": "DL0"}, "DIDFilterSyntaxError", "the operators are in ne lt lte gt gte"),
        ({"data__level.gt": "DL*"}, "DIDFilterSyntaxError", "wildcards work with equality and ne only"),
        ({"instance__obs_id": "2*"}, "DIDFilterSyntaxError", "wildcards work on texts only"),
        ({"instance__obs_id": [1, "many"]}, "InvalidMetadata", "'many' is no "),
        ({"instance__obs_id.gt": [1, 2]}, "DIDFilterSyntaxError", "takes one value, not 2"),
        ({"stage.like": 5}, "DIDFilterSyntaxError", "the operators are in ne lt"),
        ({"stage": {"=": 5}}, "InvalidMetadata", "a free key compares with texts, numbers, true and false"),
        ({"instance__obs_id": {"=": 5}}, "InvalidMetadata", "is no "),
        ({"data__level": "DL0", "did_type": "folder"}, "UnsupportedOperation", "'folder' is not a DID type"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    night: Archive, asked: dict[str, Any], error: str, words: str
) -> None:
    from rucio.common import exception

    with pytest.raises(getattr(exception, error)) as caught:
        night.find(asked)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("instance__obs_id", "many", "metadata 'instance__obs_id': 'many' is no "),
        ("instance__obs_id", True, "True is no "),
        ("instance__obs_id", 2**63, "is no "),
        ("data__level", 5, "metadata 'data__level': 5 is no text"),
        ("data__level", {"a": 1}, "{'a': 1} is no text"),
        ("data__level", "x" * 251, "251 characters; the maximum is 250"),
        ("description", "a\0b", "contains NUL or unpaired surrogates"),
        ("description", "a\ud800b", "contains NUL or unpaired surrogates"),
        ("observation__coverage__time__t_min", "noon", "'noon' is no time (UTC)"),
        ("zzz", None, "metadata 'zzz': None is not a value"),
        ("z" * 101, 1, "a free key has 1 to 100 characters"),
        ("zzz", "a\0b", "contains NUL or unpaired surrogates"),
        ("zzz", {"a": ["\ud800"]}, "contains NUL or unpaired surrogates"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_whole_batch(
    archive: Archive, key: str, value: object, words: str
) -> None:
    from rucio.common.exception import InvalidMetadata

    with pytest.raises(InvalidMetadata) as caught:
        archive.attach({archive.file(0): {"data__level": "DL0"}, archive.file(1): {key: value}})
    assert words in str(caught.value)
    assert list(archive.client.list_files(archive.scope, archive.dataset)) == []
    assert archive.find({"data__level": "DL0"}) == []


def test_what_sql_might_misread_is_stored_as_it_is(archive: Archive) -> None:
    text = "'; drop table ctao_metadata; -- %s %(x)s \\ \u03b3 :p"
    archive.attach({archive.file(0): {"description": text}})
    assert archive.metadata(archive.file(0)) == {"description": text}
    assert archive.find({"description": text.replace("%", "*")}) == ["f0"]


def test_metadata_can_be_set_changed_and_removed(archive: Archive) -> None:
    from rucio.common.exception import KeyNotFound

    scope, name = archive.scope, archive.file(0)
    archive.attach({name: {}})
    assert archive.metadata(name) == {}
    archive.client.set_metadata(scope, name, "instance__obs_id", "7")
    archive.client.set_metadata_bulk(scope, name, {"instance__ae_id": 3, "data__level": "DL1"})
    archive.client.set_dids_metadata_bulk([{"scope": scope, "name": name, "meta": {"instance__ae_id": 4}}])
    assert archive.metadata(name) == {"instance__obs_id": 7, "instance__ae_id": 4, "data__level": "DL1"}
    archive.client.delete_metadata(scope, name, "instance__ae_id")
    assert archive.metadata(name) == {"instance__obs_id": 7, "data__level": "DL1"}
    archive.client.set_metadata_bulk(scope, name, {"run": 1, "site": "x"})
    archive.client.set_metadata(scope, name, "run", "2")
    archive.client.delete_metadata(scope, name, "site")
    assert archive.metadata(name) == {"instance__obs_id": 7, "data__level": "DL1", "run": "2"}
    for key in ("instance__ae_id", "site", "no_key"):
        with pytest.raises(KeyNotFound):
            archive.client.delete_metadata(scope, name, key)


def test_nothing_that_a_pipeline_wants_to_keep_is_refused(archive: Archive) -> None:
    kept = {"instance__filter_wheel": "U", "my pipeline": [1, {"a": True}]}
    archive.attach({archive.file(0): {"data__level": "DL0", **kept}, archive.file(1): {}})
    assert archive.metadata(archive.file(0)) == {"data__level": "DL0", **kept}
    assert archive.find({"instance__filter_wheel": "U"}) == ["f0"]
    assert archive.find({"instance__filter_wheel": "B"}) == []


def test_recursive_metadata_reach_everything_inside(archive: Archive, embedded_rucio_instance: Instance) -> None:
    archive.attach({archive.file(0): {"instance__ae_id": 1}, archive.file(1): {}})
    top = f"/ctao/{archive.scope}"
    archive.client.attach_dids(archive.scope, top, [{"scope": archive.scope, "name": archive.dataset}])
    admin = RucioCatalogue.connect(embedded_rucio_instance.client_config("root")).client
    admin.set_metadata(archive.scope, top, "instance__site_id", "CTAO-North", recursive=True)
    found = archive.client.list_dids(archive.scope, filters=[{"instance__site_id": "CTAO-North"}], did_type="all")
    assert sorted(found) == [top, archive.dataset, archive.file(0), archive.file(1)]
    assert archive.metadata(archive.file(0)) == {"instance__ae_id": 1, "instance__site_id": "CTAO-North"}


def test_a_data_identifier_that_is_not_there_has_no_metadata(archive: Archive) -> None:
    from rucio.common.exception import DataIdentifierNotFound

    gone = archive.file(9)
    with pytest.raises(DataIdentifierNotFound):
        archive.metadata(gone)
    with pytest.raises(DataIdentifierNotFound, match="f9"):
        archive.client.set_metadata_bulk(archive.scope, gone, {"data__level": "DL0"})


def test_what_rucio_deletes_leaves_no_row(archive: Archive, embedded_rucio_instance: Instance) -> None:
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


def test_what_expires_takes_its_rows_with_it(archive: Archive, embedded_rucio_instance: Instance, ask: Ask) -> None:
    """By the daemons that run: the undertaker removes the dataset, the reaper its only file."""
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


def test_the_number_of_statements_does_not_grow_with_the_batch(
    archive: Archive, embedded_rucio_instance: Instance
) -> None:
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


def test_the_table_is_that_of_the_model(embedded_rucio_instance: Instance) -> None:
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
