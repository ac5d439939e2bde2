"""Which replicas can be declared bad, and which rules they can get meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.embedded import ROOT
from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import RefusedError
from tests.embedded.permissions.scene import CSCS, ONSITE, PIC, Scene, World, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.embedded import Instance


def attach_to_held(s: Scene, file: dict[str, Any]) -> None:
    dataset, _ = s.dataset(s.own, "DL0", PIC)
    s.rule(dataset, "centre=PIC", "root")
    s.call("attach_dids", *dataset.values(), [file])


def attach_dataset_to_held(s: Scene, file: dict[str, Any]) -> None:
    inner, other, outer = (s.name(s.own, "DL0") for _ in range(3))
    s.call("add_dids", [inner | {"type": "DATASET"}, other | {"type": "DATASET"}, outer | {"type": "CONTAINER"}])
    s.rule(outer, "offsite=True", "root")
    s.call("attach_dids", *inner.values(), [file])
    s.call("attach_dids_to_dids", [outer | {"dids": [other, inner]}])


def make_with_rule(s: Scene, file: dict[str, Any]) -> None:
    rule = {"copies": 1, "rse_expression": PIC, "account": s.account}
    s.call("add_dids", [s.name(s.own, "DL0") | {"type": "DATASET", "dids": [file], "rules": [rule]}])


def move_there(s: Scene, file: dict[str, Any]) -> None:
    rule = s.rule(file, f"{CSCS}|{ONSITE}", "root")
    s.call("move_replication_rule", rule, CSCS, {"rse_expression": PIC})


@pytest.mark.parametrize("attempt", [attach_to_held, attach_dataset_to_held, make_with_rule, move_there])
def test_bad_copy_gets_no_new_lock_before_rucio_replaces_it(
    world: World, attempt: Callable[[Scene, dict[str, Any]], None]
) -> None:
    """With a new lock, Rucio treats it as a copy on its way: it requests no transfer and forgets that it is bad."""
    scene = Scene(world, Role.ADMIN, True)

    def try_often() -> None:
        for _ in range(5):  # Rucio may have asked for a new copy already: then a lock is no harm
            attempt(scene, scene.declared_bad())

    with pytest.raises(RefusedError, match=r"AccessDenied.*at PIC-DISK was declared bad, and Rucio replaces it"):
        try_often()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_copy_is_not_declared_bad_while_rucio_has_still_to_lock_it(world: World, asynchronous: bool) -> None:
    """Rucio would make the lock of the earlier rule after the copy was declared bad."""
    scene = Scene(world, Role.ADMIN, True)

    def try_often() -> None:
        for _ in range(5):  # Rucio's judge may have come already: then to declare it bad is no harm
            file = scene.held(scene.own, "DL0", PIC, CSCS)
            if asynchronous:
                scene.rule(file, "centre=PIC", "root", asynchronous=True)
            else:
                attach_to_held(scene, file)
            scene.call("declare_bad_file_replicas", [file | {"rse": PIC}], "a test")

    with pytest.raises(RefusedError, match=r"AccessDenied.*has not yet made all locks for"):
        try_often()


def test_bad_copy_does_not_block_rules_elsewhere(world: World) -> None:
    scene = Scene(world, Role.ADMIN, True)
    scene.call("add_replication_rule", [scene.declared_bad()], 1, ONSITE)


def test_keys_of_another_call_do_not_hide_the_last_sound_copy(
    world: World, embedded_rucio_instance: Instance, ask: Callable[..., Any]
) -> None:
    """The guard reads the keys that Rucio reads, whatever else a request carries."""
    scene = Scene(world, Role.ADMIN, True)
    last, other = scene.held(scene.own, "DL0", PIC), scene.held(scene.own, "DL0", PIC, CSCS)
    bodies = [
        ["bad", {"replicas": [last | {"rse": PIC}], "reason": "x", "rse": PIC, "files": [other | {"state": "A"}]}],
        ["suspicious", {"pfns": [place(scene, last, PIC)], "reason": "x", "replicas": [other | {"rse": PIC}]}],
    ]
    program = """
answer = []
for kind, document in arguments[0]:
    url = f"{client.host}/replicas/{kind}"
    answer.append(client.session.post(url, json=document, headers=client.headers).text)
"""
    for said in ask(embedded_rucio_instance, program, bodies, account=ROOT):
        assert "is the last sound one" in said
