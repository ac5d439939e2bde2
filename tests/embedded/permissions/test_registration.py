"""Every call that registers files refuses false replicas and names of other scopes."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import RefusedError
from tests.embedded.permissions.scene import ONSITE, PIC, Scene, World


def test_workload_management_cannot_register_copies_of_raw_data(world: World) -> None:
    scene = Scene(world, Role.WMS, True)
    name, raw = scene.name(scene.own, "DL3"), scene.file(scene.own, "DL0", ONSITE)
    new = raw | {"bytes": 1, "adler32": "00000001"}
    scene.call("add_did", name["scope"], name["name"], "DATASET")
    lfn = raw | {"lfn": raw["name"], "rse": PIC, "bytes": 1, "adler32": "00000001"}
    attempts: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("attach_dids", [name["scope"], name["name"], [new]], {"rse": PIC}),
        ("attach_dids_to_dids", [[name | {"dids": [new], "rse": PIC}]], {}),
        ("add_files", [[lfn]], {}),
    ]
    for method, arguments, keywords in attempts:
        with pytest.raises(RefusedError, match=r"AccessDenied.*is raw data; its copies are made by replication rules"):
            scene.call(method, *arguments, **keywords)


def test_name_of_another_scope_is_refused_by_every_call(world: World) -> None:
    scene = Scene(world, Role.ADMIN, True)
    stray = {"scope": scene.own, "name": f"/ctao/{world.foreign}/DL3/{secrets.token_hex(6)}"}
    file, dataset = stray | {"bytes": 1, "adler32": "00000001"}, scene.name(scene.own, "DL3")
    scene.call("add_did", *dataset.values(), "DATASET")
    attempts: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("add_did", [*stray.values(), "DATASET"], {}),
        ("add_did", [*scene.name(scene.own, "DL3").values(), "DATASET"], {"dids": [file], "rse": PIC}),
        ("add_dids", [[stray | {"type": "CONTAINER"}]], {}),
        ("add_dids", [[scene.name(scene.own, "DL3") | {"type": "DATASET", "dids": [file], "rse": PIC}]], {}),
        ("add_replicas", [PIC, [file]], {}),
        ("attach_dids", [*dataset.values(), [file]], {"rse": PIC}),
        ("attach_dids_to_dids", [[dataset | {"dids": [file], "rse": PIC}]], {}),
        ("add_files_to_archive", [*list(scene.file(scene.own, "DL3", PIC).values())[:2], [file]], {}),
    ]
    for method, arguments, keywords in attempts:
        with pytest.raises(RefusedError, match=r"AccessDenied.*(it would be the same file|can not add file DIDs)"):
            scene.call(method, *arguments, **keywords)
    assert list(world.root("list_dids", scene.own, [{"name": f"/ctao/{world.foreign}/*"}], did_type="all")) == []
