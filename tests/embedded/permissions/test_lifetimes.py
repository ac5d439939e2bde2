"""Which roles can give an end to rules and files."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from ctao_rucio_policy.roles import TABLE, Role
from tests.embedded.accounts import RefusedError
from tests.embedded.permissions.scene import CSCS, DAY_S, ONSITE, PIC, Scene, World


@pytest.mark.parametrize("role", Role)
def test_past_lifetime_is_checked_like_a_deletion(world: World, role: Role) -> None:
    """The release of the copy on site and DIRAC's removal of a replica end rules in this way."""
    cell = TABLE["end-preserving"].cells[role]
    for met in (True, False):
        scene = Scene(world, role, met)
        dataset, _ = scene.dataset(scene.own, "DL0", ONSITE, PIC, CSCS)
        for rse in (PIC, CSCS) if met else (PIC,):
            scene.rule(dataset, rse, "root")
        mine = scene.rule(dataset, ONSITE, scene.account)
        if role is Role.ADMIN or (met and not cell.refusal):
            scene.call("update_replication_rule", mine, {"lifetime": -1})
            continue
        with pytest.raises(RefusedError, match=r"AccessDenied.*(preserves raw data|two centres|may only read)"):
            scene.call("update_replication_rule", mine, {"lifetime": -1})


@pytest.mark.parametrize("options", [{"lifetime": None}, {"locked": True}, {"account": "root"}, {"priority": 5}])
def test_user_can_change_no_rule_option_but_a_finite_lifetime(world: World, options: dict[str, Any]) -> None:
    scene = Scene(world, Role.USER, True)
    dataset, _ = scene.dataset(scene.own, "DL3")
    mine = scene.rule(dataset, ONSITE, scene.account, lifetime=3600)
    for method, arguments in (
        ("update_replication_rule", [mine, options]),
        ("move_replication_rule", [mine, "onsite=True", options]),
    ):
        with pytest.raises(RefusedError, match=r"AccessDenied.*(need a lifetime|by the archive administrator only)"):
            scene.call(method, *arguments)


def test_user_cannot_add_a_rule_without_end_to_a_new_dataset(world: World) -> None:
    scene = Scene(world, Role.USER, True)
    name, rule = scene.name(scene.own, "DL3"), {"copies": 1, "rse_expression": ONSITE, "account": scene.account}
    with pytest.raises(RefusedError, match=r"AccessDenied.*Rules of users and operators need a lifetime"):
        scene.call("add_did", name["scope"], name["name"], "DATASET", rules=[rule])
    with pytest.raises(RefusedError, match=r"AccessDenied.*Rules of users and operators need a lifetime"):
        scene.call("add_dids", [name | {"type": "DATASET", "rules": [rule]}])


def test_raw_dataset_cannot_be_created_with_an_end(world: World) -> None:
    scene = Scene(world, Role.INGEST, True)
    name = scene.name(scene.own, "DL0")
    with pytest.raises(
        RefusedError, match=r"AccessDenied.*own metadata cannot be changed: lifetime; raw data have no lifetime"
    ):
        scene.call("add_did", name["scope"], name["name"], "DATASET", lifetime=1)


@pytest.mark.parametrize("end", [{"lifetime": 1}, {"expired_at": "2020-01-01T00:00:00"}])
@pytest.mark.parametrize("role", [Role.ADMIN, Role.INGEST])
def test_raw_file_registered_with_an_end_is_refused(world: World, role: Role, end: dict[str, Any]) -> None:
    """Rucio's undertaker would delete the name, and its reaper the only copy, within seconds."""
    scene = Scene(world, role, True)
    dataset, new = scene.name(scene.own, "DL0"), scene.new_file(world.scopes[Role.INGEST], "DL0") | {"meta": end}
    world.root("add_did", *dataset.values(), "DATASET")
    attempts: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("add_replicas", [ONSITE, [new]], {}),
        ("attach_dids", [*dataset.values(), [new]], {"rse": ONSITE}),
        ("attach_dids_to_dids", [[dataset | {"dids": [new], "rse": ONSITE}]], {}),
        ("add_dids", [[scene.name(scene.own, "DL0") | {"type": "DATASET", "dids": [new], "rse": ONSITE}]], {}),
        ("add_dids", [[scene.name(scene.own, "DL0") | {"type": "DATASET", "meta": end}]], {}),
    ]
    for method, arguments, keywords in attempts:
        with pytest.raises(
            RefusedError,
            match=r"AccessDenied.*(preserved data have no lifetime|raw data have no lifetime|can not add file DIDs)",
        ):
            scene.call(method, *arguments, **keywords)


def test_product_with_an_end_stays_out_of_a_permanent_block(world: World) -> None:
    scene = Scene(world, Role.WMS, True)
    token = secrets.token_hex(4)
    block = {
        "scope": scene.own,
        "name": f"/ctao/{scene.own}/blocks/CTAO-North/2026/11/21/permanent-20261121T220000-{token}-PIC",
    }
    world.root("add_did", *block.values(), "DATASET")
    ending, new = scene.file(scene.own, "DL3", PIC), scene.new_file(scene.own, "DL3") | {"meta": {"lifetime": 1}}
    scene.rule(ending, PIC, "root", lifetime=DAY_S)
    with pytest.raises(RefusedError, match=r"AccessDenied.*no rule without lifetime holds .* yet"):
        scene.call("attach_dids", *block.values(), [ending])
    with pytest.raises(RefusedError, match=r"AccessDenied.*cannot have an end"):
        scene.call("attach_dids", *block.values(), [new], rse=PIC)
    scene.call("attach_dids", *block.values(), [scene.file(scene.own, "DL3", PIC)])
