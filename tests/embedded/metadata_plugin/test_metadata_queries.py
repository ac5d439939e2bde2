"""Queries for metadata: filters, pages, and what the plugin refuses."""

from __future__ import annotations

from typing import Any

import pytest

from ctao_bdms.model.plugin_filters import HEADER, NEAR, PAGE, VALID
from tests.embedded.metadata_plugin.night import NIGHT, T0, Archive, wire


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
        ({"instance__data_source": "00__0*"}, ""),  # an underscore is no wildcard
        ({"curation__release": "DataPipe/Observation/*"}, "f0 f1 f2 f3 f4"),
        ({"curation__release.ne": "DataPipe/Observation/DR1"}, "f5"),  # a file without a value differs from every value
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
        ({"stage": "5"}, "f1 f2"),  # a text also matches the number that it spells
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
def test_filter_finds_files(night: Archive, asked: dict[str, Any], found: str) -> None:
    assert night.find({key: filled(value, night) for key, value in asked.items()}) == found.split()


def test_filter_groups_are_alternatives(night: Archive) -> None:
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
def test_query_is_limited_to_the_requested_did_type(night: Archive, did_type: str, found: int) -> None:
    assert len(night.find({"data__level": "DL0"}, did_type=did_type)) == found


def test_page_begins_after_a_row_and_with_a_header(night: Archive) -> None:
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
def test_invalid_page_position_or_validity_is_refused(night: Archive, question: dict[str, Any]) -> None:
    from rucio.common.exception import DIDFilterSyntaxError, InvalidMetadata

    with pytest.raises((DIDFilterSyntaxError, InvalidMetadata)):
        list(night.client.list_dids(night.scope, [question], did_type="file", long=True))


def test_long_form_has_all_metadata_and_recursive_form_the_content(night: Archive) -> None:
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
def test_invalid_filter_is_refused(night: Archive, asked: dict[str, Any], error: str, words: str) -> None:
    from rucio.common import exception

    with pytest.raises(getattr(exception, error)) as caught:
        night.find(asked)
    assert words in str(caught.value)
