"""No role can weaken the rules that preserve raw data."""

from __future__ import annotations

import pytest

from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import RefusedError
from tests.embedded.permissions.scene import CSCS, DAY_S, ONSITE, PIC, Scene, World


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_rules_that_preserve_raw_data_are_not_reduced(world: World, role: Role) -> None:
    scene = Scene(world, role, True)
    dataset, _ = scene.dataset(scene.own, "DL0", PIC, CSCS)
    both = scene.rule(dataset, "offsite=True", scene.account, copies=2)
    with pytest.raises(RefusedError, match="AccessDenied"):
        scene.call("reduce_replication_rule", both, 1)
    (kept,) = world.root("list_did_rules", dataset["scope"], dataset["name"])
    assert (kept["id"], kept["copies"], kept["expires_at"]) == (both, 2, None)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_rule_on_site_is_not_moved_when_all_centres_have_the_data(world: World, role: Role) -> None:
    """A move would end the copy on site before anybody has read the others back."""
    scene = Scene(world, role, True)
    dataset, _ = scene.dataset(scene.own, "DL0", ONSITE, PIC, CSCS)
    for rse in ("centre=PIC", CSCS):
        scene.rule(dataset, rse, "root")
    with pytest.raises(RefusedError, match="AccessDenied"):
        scene.call("move_replication_rule", scene.rule(dataset, ONSITE, scene.account), PIC, {})


@pytest.mark.parametrize("expression", [PIC, "centre=PIC|centre=PIC", "tier=1", "centre=PIC&tier=1"])
def test_preserving_rule_is_moved_to_centres_only(world: World, expression: str) -> None:
    """The ingest knows its rules by their centre; it would make another one beside a rule that it does not know."""
    scene = Scene(world, Role.OPERATOR, True)
    dataset, _ = scene.dataset(scene.own, "DL0", PIC, CSCS)
    scene.rule(dataset, CSCS, "root")
    with pytest.raises(RefusedError, match=r"AccessDenied.*Give the centre"):
        scene.call("move_replication_rule", scene.rule(dataset, "centre=PIC", scene.account), expression, {})


def test_rules_that_have_not_come_to_a_new_file_do_not_let_the_copy_on_site_go(world: World) -> None:
    """A rule says OK until the judge has come to what was attached; the count of its locks does not."""
    scene = Scene(world, Role.INGEST, True)
    dataset, _ = scene.dataset(scene.own, "DL0", ONSITE, PIC, CSCS)
    for rse in (PIC, CSCS):
        scene.rule(dataset, rse, "root")
    onsite = scene.rule(dataset, ONSITE, scene.account)
    world.root("attach_dids", *dataset.values(), [scene.file(scene.own, "DL0", ONSITE)])
    with pytest.raises(RefusedError, match=r"AccessDenied.*at no centre for certain"):
        scene.call("delete_replication_rule", onsite)


def test_raw_data_in_a_dataset_of_others_stay_held(world: World) -> None:
    """What a dataset holds counts, not only its name: a rule of one second on it would take raw data with it."""
    for role in (Role.WMS, Role.USER, Role.OPERATOR):
        scene = Scene(world, role, True)
        dataset, raw = scene.name(scene.own, "DL3"), scene.file(world.scopes[Role.INGEST], "DL0", PIC)
        scene.call("add_did", *dataset.values(), "DATASET")
        scene.call("attach_dids", *dataset.values(), [raw])
        for lifetime in (1, 2 * DAY_S):
            with pytest.raises(RefusedError, match=r"AccessDenied.*(is preserved; a rule|for ever yet)"):
                scene.call("add_replication_rule", [dataset], 1, PIC, lifetime=lifetime)
