"""Who may do what, asked over REST with real accounts of a real Rucio."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.embedded import INGEST, READER, ROOT, add_scope
from tests.embedded.accounts import Account, RefusedError, acting_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.embedded import Instance

ONSITE, OFFSITE, SECOND = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"


@pytest.fixture(scope="module")
def root(embedded_rucio_instance: Instance) -> Iterator[Account]:
    with acting_as(embedded_rucio_instance.client_config(ROOT)) as account:
        yield account


@pytest.fixture(scope="module")
def ingest(embedded_rucio_instance: Instance) -> Iterator[Account]:
    with acting_as(embedded_rucio_instance.client_config(INGEST)) as account:
        yield account


@pytest.fixture(scope="module")
def reader(embedded_rucio_instance: Instance, root: Account) -> Iterator[Account]:
    """A person who owns a scope."""
    if "user.reader" not in root("list_scopes"):
        root("add_scope", READER, "user.reader")
    with acting_as(embedded_rucio_instance.client_config(READER)) as account:
        yield account


@attrs.frozen
class Night:
    """A scope with an open dataset of two files, registered on site by the ingest account."""

    scope: str
    dataset: str

    def did(self, number: int) -> dict[str, Any]:
        return {"scope": self.scope, "name": f"{self.dataset}/f{number}"}

    def new(self, number: int) -> dict[str, Any]:
        return self.did(number) | {"bytes": 1, "adler32": "00000001"}


@pytest.fixture
def night(embedded_rucio_instance: Instance, ingest: Account) -> Night:
    scope = f"t{secrets.token_hex(4)}"
    night = Night(scope, f"/ctao/{scope}/DL0")
    add_scope(embedded_rucio_instance.home.path, scope)
    meta = {"data__level": "DL0"}
    ingest("add_dids", [{"scope": scope, "name": night.dataset, "type": "DATASET", "meta": meta}])
    ingest("attach_dids", scope, night.dataset, [night.new(i) | {"meta": meta} for i in (0, 1)], rse=ONSITE)
    return night


def test_ingest_may_do_all_that_its_work_needs(ingest: Account, root: Account, night: Night) -> None:
    block, scope = f"/ctao/{night.scope}/blocks/b1", night.scope
    ingest("add_did", scope, block, "DATASET", meta={"data__level": "DL0"})
    members = [{"scope": scope, "name": name, "rse": ONSITE, "dids": [night.new(2)]} for name in (block, night.dataset)]
    ingest("attach_dids_to_dids", members, ignore_duplicate=True)
    ingest("add_replicas", ONSITE, [night.new(3)])
    ingest("set_metadata", scope, night.dataset, "description", "x")
    ingest("set_dids_metadata_bulk", [night.did(0) | {"meta": {"instance__ae_id": 1}}])
    ingest("close", scope, block)
    (held,) = ingest("add_replication_rule", [{"scope": scope, "name": block}], 1, ONSITE)
    rules = ingest("list_did_rules", scope, block)
    assert [(rule["id"], rule["account"], rule["state"]) for rule in rules] == [(held, INGEST, "OK")]
    with pytest.raises(RefusedError, match=r"AccessDenied.*when rules without lifetime are fulfilled at two centres"):
        ingest("delete_replication_rule", held)
    for rse in (OFFSITE, SECOND):
        root("add_replicas", rse, [night.new(2)])
        ingest("add_replication_rule", [{"scope": scope, "name": block}], 1, rse)
    ingest("delete_replication_rule", held)
    with pytest.raises(RefusedError, match=r"AccessDenied.*is the last sound one"):
        ingest("declare_bad_file_replicas", [night.did(3) | {"rse": ONSITE}], reason="test")
    bad = [night.did(2) | {"rse": ONSITE}]
    assert ingest.when_locked("declare_bad_file_replicas", bad, reason="test") == {}


def test_ingest_registers_nothing_off_site(ingest: Account, night: Night) -> None:
    scope, dataset, new = night.scope, night.dataset, [night.new(5)]
    child = {"scope": scope, "name": f"/ctao/{scope}/DL1", "type": "DATASET", "rse": OFFSITE, "dids": new}
    attempts: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("add_replicas", [OFFSITE, new], {}),
        ("attach_dids", [scope, dataset, new], {"rse": OFFSITE}),
        ("attach_dids_to_dids", [[{"scope": scope, "name": dataset, "rse": OFFSITE, "dids": new}]], {}),
        ("add_dids", [[child]], {}),
        ("add_did", [scope, child["name"], "DATASET"], {"dids": new, "rse": OFFSITE}),
    ]
    for method, arguments, keywords in attempts:
        with pytest.raises(RefusedError, match=r"AccessDenied.*on site only") as caught:
            ingest(method, *arguments, **keywords)
        assert OFFSITE in str(caught.value), method
    with pytest.raises(RefusedError, match="DataIdentifierNotFound"):
        ingest("get_did", scope, child["name"])
    with pytest.raises(RefusedError, match="DataIdentifierNotFound"):
        ingest("get_did", scope, new[0]["name"])


def test_ingest_takes_nothing_away(ingest: Account, root: Account, night: Night) -> None:
    scope, dataset = night.scope, night.dataset
    did = [{"scope": scope, "name": dataset}]
    (foreign,) = root("add_replication_rule", did, 1, ONSITE)
    (far,) = ingest("add_replication_rule", did, 1, OFFSITE)
    attempts: list[tuple[str, list[Any], str]] = [
        ("detach_dids", [scope, dataset, [night.did(0)]], "append-only"),
        ("delete_replication_rule", [foreign], "its own rules on site"),
        ("delete_replication_rule", [far], "its own rules on site"),
        ("update_replication_rule", [far, {"lifetime": 1}], ""),
        ("set_metadata", [scope, dataset, "lifetime", 1], "Rucio's own metadata cannot be changed: lifetime"),
        ("set_metadata_bulk", [scope, dataset, {"expired_at": "2026-01-01", "data__level": "DL1"}], "expired_at"),
        ("set_metadata", [scope, night.did(0)["name"], "adler32", "00000002"], "can not change this"),
        ("declare_bad_file_replicas", [[night.did(0) | {"rse": OFFSITE}], "test"], "on site only"),
        ("add_rse", ["MINE"], ""),
        ("add_scope", [INGEST, "mine"], ""),
        ("add_account_attribute", [INGEST, "admin", "True"], ""),
    ]
    for method, arguments, words in attempts:
        with pytest.raises(RefusedError, match=f"AccessDenied.*{words}"):
            ingest(method, *arguments)
    assert len(ingest("list_files", scope, dataset)) == 2
    assert len(ingest("list_did_rules", scope, dataset)) == 2


def test_a_closed_dataset_stays_closed(ingest: Account, root: Account, night: Night) -> None:
    ingest("close", night.scope, night.dataset)
    with pytest.raises(RefusedError, match=r"AccessDenied.*A closed dataset stays closed"):
        ingest("set_status", night.scope, night.dataset, open=True)
    assert ingest("get_did", night.scope, night.dataset)["open"] is False
    root("set_status", night.scope, night.dataset, open=True)
    assert ingest("get_did", night.scope, night.dataset)["open"] is True


def test_a_scope_owner_registers_nothing_where_he_may_not_add_replicas(reader: Account) -> None:
    name = f"/ctao/user/r/reader/{secrets.token_hex(4)}"
    file = {"scope": "user.reader", "name": f"{name}/x", "bytes": 1, "adler32": "00000001"}
    reader("add_did", "user.reader", name, "DATASET")
    refused = f"AccessDenied.*Registering files on {ONSITE} needs the right"
    with pytest.raises(RefusedError, match=refused):
        reader("attach_dids", "user.reader", name, [file], rse=ONSITE)
    with pytest.raises(RefusedError, match=refused):
        reader("add_did", "user.reader", f"{name}2", "DATASET", dids=[file], rse=ONSITE)
    with pytest.raises(RefusedError, match="AccessDenied"):
        reader("add_replicas", ONSITE, [file])
    theirs = {**file, "scope": "acada", "name": f"/ctao/acada/DL1/{secrets.token_hex(4)}"}
    with pytest.raises(RefusedError, match="AccessDenied"):
        reader("attach_dids", "user.reader", name, [theirs], rse=OFFSITE)
    reader("attach_dids", "user.reader", name, [file], rse=OFFSITE)  # their own, at a centre


def test_metadata_are_deleted_only_by_who_may_set_them(reader: Account, ingest: Account, night: Night) -> None:
    name = night.did(0)["name"]
    with pytest.raises(RefusedError, match=r"AccessDenied.*can not delete metadata"):
        reader("delete_metadata", night.scope, name, "data__level")
    assert reader("get_metadata", night.scope, name, plugin="CTAO") == {"data__level": "DL0"}
    ingest("delete_metadata", night.scope, name, "data__level")
    assert reader("get_metadata", night.scope, name, plugin="CTAO") == {}


@pytest.mark.parametrize(
    "name", ["/ctao/../x", "/ctao//x", "x", "/ctao/x/", "/ctao/a b", "/ctao/\u00e9", "/" + "x" * 250]
)
def test_a_name_that_is_not_canonical_is_refused_even_to_root(root: Account, name: str) -> None:
    with pytest.raises(RefusedError, match=r"AccessDenied.*is not a canonical name"):
        root("add_dids", [{"scope": "acada", "name": name, "type": "DATASET"}])
