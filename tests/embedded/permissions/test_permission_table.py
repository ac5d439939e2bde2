"""Every cell of the permission table, tested over REST with an account of each role."""

from __future__ import annotations

import re

import attrs
import pytest

from ctao_rucio_policy.guards import CHECKS
from ctao_rucio_policy.roles import CONDITIONS, GUARDS, ROLE_ATTRIBUTE, TABLE, Role
from tests.embedded.accounts import RefusedError
from tests.embedded.permissions.attempts import ATTEMPTS, compose
from tests.embedded.permissions.breaches import BREACHES, GUARD_MESSAGES
from tests.embedded.permissions.scene import Scene, World


def test_attempts_and_breaches_cover_the_whole_table() -> None:
    assert list(ATTEMPTS) == list(TABLE)
    for row in TABLE.values():
        assert list(row.cells) == list(Role)
    used = {cell.condition for row in TABLE.values() for cell in row.cells.values()}
    assert used - {""} == set(CONDITIONS)
    assert {row.guard for row in TABLE.values()} - {""} == set(GUARDS) == set(CHECKS)
    assert {key for key, row in TABLE.items() if row.guard} == set(BREACHES)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("row", TABLE)
def test_account_can_do_what_its_cell_permits_and_no_more(world: World, row: str, role: Role) -> None:
    cell, scene = TABLE[row].cells[role], Scene(world, role, True)
    if not cell.refusal:
        ATTEMPTS[row](scene)
    if cell.refusal:
        with pytest.raises(RefusedError, match="AccessDenied") as caught:
            ATTEMPTS[row](scene)
        beginning = cell.refusal.partition("<")[0]
        assert beginning in str(caught.value)
    if cell.condition:
        with pytest.raises(RefusedError, match=r"AccessDenied.*Account \S+ can not .+\. \S.{30,}\.") as caught:
            ATTEMPTS[row](attrs.evolve(scene, met=False))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("row", [key for key, row in TABLE.items() if row.guard])
def test_guard_refuses_every_permitted_role(world: World, row: str, role: Role) -> None:
    cell, scene = TABLE[row].cells[role], Scene(world, role, True)
    if cell.refusal:
        return
    with pytest.raises(RefusedError, match="AccessDenied") as caught:
        BREACHES[row](scene)
    if role is Role.ADMIN or not cell.condition:  # a condition may refuse first
        assert re.search(GUARD_MESSAGES[TABLE[row].guard], str(caught.value))


def test_unknown_role_permits_nothing(world: World) -> None:
    scene = Scene(world, Role.READER, True)
    world.root("add_account_attribute", scene.account, ROLE_ATTRIBUTE, "emperor")
    with pytest.raises(RefusedError, match=r"AccessDenied.*may only read"):
        compose(scene)
    world.root("delete_account_attribute", scene.account, ROLE_ATTRIBUTE)
