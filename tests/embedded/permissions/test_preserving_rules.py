"""No role can weaken the rules that preserve raw data."""

from __future__ import annotations

import pytest

from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import RefusedError
from tests.embedded.permissions.scene import CSCS, DAY_S, ONSITE, PIC, Scene, World


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_preserving_rules_cannot_be_reduced(world: World, role: Role) -> None:
    scene = Scene(world, role, True)
    dataset, _ = scene.dataset(scene.own, "DL0", PIC, CSCS)
    both = scene.rule(dataset, "offsite=True", scene.account, copies=2)
    with pytest.raises(RefusedError, match="AccessDenied"):
        scene.call("reduce_replication_rule", both, 1)
    (kept,) = world.root("list_did_rules", dataset["scope"], dataset["name"])
    assert (kept["id"], kept["copies"], kept["expires_at"]) == (both, 2, None)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_rule_on_site_cannot_be_moved_when_all_centres_have_the_data(world: World, role: Role) -> None:
    """A move would delete the copy on site before the others were read back and verified."""
    scene = Scene(world, role, True)
    dataset, _ = scene.dataset(scene.own, "DL0", ONSITE, PIC, CSCS)
    for rse in ("centre=PIC", CSCS):
        scene.rule(dataset, rse, "root")
    with pytest.raises(RefusedError, match="AccessDenied"):
        scene.call("move_replication_rule", scene.rule(dataset, ONSITE, scene.account), PIC, {})


@pytest.mark.parametrize("expression", [PIC, "centre=PIC|centre=PIC", "tier=1", "centre=PIC&tier=1"])
def test_preserving_rule_can_be_moved_to_centres_only(world: World, expression: str) -> None:
    """The ingest finds its rules by `centre=`; beside any other expression it would make a second rule."""
    scene = Scene(world, Role.OPERATOR, True)
    dataset, _ = scene.dataset(scene.own, "DL0", PIC, CSCS)
    scene.rule(dataset, CSCS, "root")
    with pytest.raises(RefusedError, match=r"AccessDenied.*Give the centre"):
        scene.call("move_replication_rule", scene.rule(dataset, "centre=PIC", scene.account), expression, {})


def test_rule_on_site_stays_until_rucio_has_locked_a_new_file_at_the_centres(world: World) -> None:
    """A rule stays OK until Rucio's judge evaluates the new file, so the guard counts locks instead."""
    scene = Scene(world, Role.INGEST, True)
    dataset, _ = scene.dataset(scene.own, "DL0", ONSITE, PIC, CSCS)
    for rse in (PIC, CSCS):
        scene.rule(dataset, rse, "root")
    onsite = scene.rule(dataset, ONSITE, scene.account)
    world.root("attach_dids", *dataset.values(), [scene.file(scene.own, "DL0", ONSITE)])
    with pytest.raises(RefusedError, match=r"AccessDenied.*at no centre for certain"):
        scene.call("delete_replication_rule", onsite)


def test_rule_with_an_end_is_refused_on_a_dataset_with_raw_data(world: World) -> None:
    """The guard looks at the content of a dataset: the end of such a rule could free raw data."""
    for role in (Role.WMS, Role.USER, Role.OPERATOR):
        scene = Scene(world, role, True)
        dataset, raw = scene.name(scene.own, "DL3"), scene.file(world.scopes[Role.INGEST], "DL0", PIC)
        scene.call("add_did", *dataset.values(), "DATASET")
        scene.call("attach_dids", *dataset.values(), [raw])
        for lifetime in (1, 2 * DAY_S):
            with pytest.raises(
                RefusedError, match=r"AccessDenied.*(is preserved; a rule|without lifetime holds \S+ yet)"
            ):
                scene.call("add_replication_rule", [dataset], 1, PIC, lifetime=lifetime)
