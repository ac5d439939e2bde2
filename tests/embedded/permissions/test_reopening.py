"""A closed block is opened again only for a manifest, whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import RefusedError
from tests.embedded.permissions.scene import ONSITE, Scene

if TYPE_CHECKING:
    from tests.embedded.permissions.scene import World

OWNERS = [role for role in Role if role not in {Role.ADMIN, Role.READER}]


@pytest.mark.parametrize("role", OWNERS)
def test_closed_block_is_opened_only_if_a_file_is_in_no_manifest(world: World, role: Role) -> None:
    scene = Scene(world, role, True)
    block = scene.block(scene.own)
    scope, name = block["scope"], block["name"]

    def attach(file: str) -> None:
        world.root("add_replicas", ONSITE, [{"scope": scope, "name": file, "bytes": 1, "adler32": "00000001"}])
        world.root("attach_dids", scope, name, [{"scope": scope, "name": file}])

    for manifest in (f"{name}.bagit.tar", f"{name}.2.bagit.tar"):
        world.root("set_status", scope, name, open=False)
        scene.call("set_status", scope, name, open=True)
        attach(manifest)
        world.root("set_status", scope, name, open=False)
        with pytest.raises(RefusedError, match=r"AccessDenied.*A closed dataset stays closed"):
            scene.call("set_status", scope, name, open=True)
        world.root("set_status", scope, name, open=True)
        attach(scene.name(scope, "DL0")["name"])


@pytest.mark.parametrize("role", OWNERS)
def test_closed_dataset_that_needs_no_manifest_stays_closed(world: World, role: Role) -> None:
    scene = Scene(world, role, True)
    dataset, _ = scene.dataset(scene.own, "DL3")
    for each in (dataset, scene.block(scene.own, "user")):
        world.root("set_status", each["scope"], each["name"], open=False)
        with pytest.raises(RefusedError, match=r"AccessDenied.*A closed dataset stays closed"):
            scene.call("set_status", each["scope"], each["name"], open=True)
