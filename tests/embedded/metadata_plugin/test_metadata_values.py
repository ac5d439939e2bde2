"""Values of metadata are stored, changed, removed and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.model import ProductMetadata
from tests.embedded.metadata_plugin.night import NIGHT, Archive, wire

if TYPE_CHECKING:
    from ctao_bdms.embedded import Instance


def test_metadata_of_attached_files_have_their_types(night: Archive) -> None:
    for number, values in enumerate(NIGHT):
        found = night.metadata(night.file(number))
        assert found == wire(number)
        assert dict(ProductMetadata({key: found[key] for key in values})) == values
    assert night.metadata(night.dataset) == {"data__level": "DL0", "description": "a night"}


def test_all_plugins_give_columns_of_rucio_and_metadata(night: Archive) -> None:
    found = night.client.get_metadata(night.scope, night.file(0), plugin="ALL")
    assert found["instance__obs_id"] == 2_000_000_001
    assert (found["bytes"], found["adler32"], found["did_type"]) == (10, "0000000a", "FILE")
    dids = [{"scope": night.scope, "name": night.file(i)} for i in range(6)]
    bulk = {row["name"]: row for row in night.client.get_metadata_bulk(dids, plugin="ALL", inherit=True)}
    assert [bulk[night.file(i)]["instance__chunk_id"] for i in range(6)] == [0, 1, 2, 0, 1, 2]
    assert bulk[night.file(0)]["description"] == "a night"  # from its dataset


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
def test_invalid_value_refuses_the_whole_batch(archive: Archive, key: str, value: object, words: str) -> None:
    from rucio.common.exception import InvalidMetadata

    with pytest.raises(InvalidMetadata) as caught:
        archive.attach({archive.file(0): {"data__level": "DL0"}, archive.file(1): {key: value}})
    assert words in str(caught.value)
    assert list(archive.client.list_files(archive.scope, archive.dataset)) == []
    assert archive.find({"data__level": "DL0"}) == []


def test_sql_in_a_value_is_stored_as_text(archive: Archive) -> None:
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


def test_unknown_keys_of_a_pipeline_are_stored(archive: Archive) -> None:
    kept = {"instance__filter_wheel": "U", "my pipeline": [1, {"a": True}]}
    archive.attach({archive.file(0): {"data__level": "DL0", **kept}, archive.file(1): {}})
    assert archive.metadata(archive.file(0)) == {"data__level": "DL0", **kept}
    assert archive.find({"instance__filter_wheel": "U"}) == ["f0"]
    assert archive.find({"instance__filter_wheel": "B"}) == []


def test_recursive_metadata_reach_the_whole_content(archive: Archive, embedded_rucio_instance: Instance) -> None:
    archive.attach({archive.file(0): {"instance__ae_id": 1}, archive.file(1): {}})
    top = f"/ctao/{archive.scope}"
    archive.client.attach_dids(archive.scope, top, [{"scope": archive.scope, "name": archive.dataset}])
    admin = RucioCatalogue.connect(embedded_rucio_instance.client_config("root")).client
    admin.set_metadata(archive.scope, top, "instance__site_id", "CTAO-North", recursive=True)
    found = archive.client.list_dids(archive.scope, filters=[{"instance__site_id": "CTAO-North"}], did_type="all")
    assert sorted(found) == [top, archive.dataset, archive.file(0), archive.file(1)]
    assert archive.metadata(archive.file(0)) == {"instance__ae_id": 1, "instance__site_id": "CTAO-North"}


def test_unknown_did_has_no_metadata(archive: Archive) -> None:
    from rucio.common.exception import DataIdentifierNotFound

    gone = archive.file(9)
    with pytest.raises(DataIdentifierNotFound):
        archive.metadata(gone)
    with pytest.raises(DataIdentifierNotFound, match="f9"):
        archive.client.set_metadata_bulk(archive.scope, gone, {"data__level": "DL0"})
