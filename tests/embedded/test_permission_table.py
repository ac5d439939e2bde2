"""Every cell of the table of permissions, asked over REST by an account of each role.

An attempt is the best case for its row: the scope and the rule belong to the account that asks. Where a cell asks for
a condition, a second attempt misses it.
"""

from __future__ import annotations

import configparser
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.embedded import READER, ROOT
from ctao_rucio_policy.roles import CENTRE_ATTRIBUTE, CONDITIONS, ROLE_ATTRIBUTE, TABLE, Role
from tests.embedded.accounts import Account, RefusedError, acting_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctao_bdms.embedded import Instance

ONSITE, PIC, CSCS = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"
BYTES = 10**12


@attrs.frozen
class World:
    """A real Rucio, with an account for each role, which owns a scope of its own."""

    root: Account
    accounts: Mapping[Role, Account]
    names: Mapping[Role, str]
    scopes: Mapping[Role, str]
    foreign: str


@pytest.fixture(scope="module")
def world(embedded_rucio_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, mark = tmp_path_factory.mktemp("accounts"), secrets.token_hex(3)
    template = embedded_rucio_instance.client_config(READER)
    with ExitStack() as stack:
        root = stack.enter_context(acting_as(embedded_rucio_instance.client_config(ROOT)))
        accounts, names, scopes = {}, {}, {}
        for role in Role:
            name = names[role] = f"{role.value}-{mark}"
            scope = scopes[role] = f"p{mark}-{role.value}"
            root("add_account", name, "USER", f"{name}@localhost")
            root("add_identity", name, name, "USERPASS", f"{name}@localhost", True, "secret")
            if role is not Role.READER:
                root("add_account_attribute", name, ROLE_ATTRIBUTE, role.value)
            if role is Role.OPERATOR:
                root("add_account_attribute", name, CENTRE_ATTRIBUTE, "PIC")
            for rse in (ONSITE, PIC, CSCS):
                root("set_local_account_limit", name, rse, BYTES)
            root("add_scope", name, scope)
            accounts[role] = stack.enter_context(acting_as(config(template, folder, name)))
        foreign = f"p{mark}-foreign"
        root("add_scope", "root", foreign)
        yield World(root, accounts, names, scopes, foreign)


def config(template: Path, folder: Path, account: str) -> Path:
    """Write the `rucio.cfg` of an account."""
    parser = configparser.RawConfigParser()
    parser.read(template)
    token = {"auth_token_file_path": str(folder / f"{account}.token")}
    parser["client"].update({"account": account, "username": account, "password": "secret"} | token)
    path = folder / f"{account}.cfg"
    with path.open("w") as file:
        parser.write(file)
    return path


@attrs.frozen
class Scene:
    """A role, and whether the condition of its cell shall be met."""

    world: World
    role: Role
    met: bool

    def call(self, method: str, *arguments: object, **keywords: object) -> None:
        for _ in range(3):
            try:
                self.world.accounts[self.role](method, *arguments, **keywords)
            except RefusedError as error:
                # how Rucio calls any error of the database, as when a daemon works on the same rows
                if "Badly formatted rule id" not in str(error):
                    raise
            else:
                return
        raise AssertionError(f"{method} meets an error of the database each time")

    @property
    def account(self) -> str:
        return self.world.names[self.role]

    @property
    def own(self) -> str:
        return self.world.scopes[self.role]

    @property
    def scope(self) -> str:
        """The account's own scope, if it shall own it."""
        return self.own if self.met else self.world.foreign

    @property
    def derived(self) -> str:
        """The same for derived data: what the ingest service owns is raw."""
        return self.world.foreign if self.role is Role.INGEST else self.scope

    def name(self, scope: str, level: str) -> dict[str, str]:
        return {"scope": scope, "name": f"/ctao/{scope}/{level}/{secrets.token_hex(6)}"}

    def file(self, scope: str, level: str, *rses: str) -> dict[str, Any]:
        """Return a file, registered by the administrator where it says."""
        file = self.name(scope, level)
        for rse in rses:
            self.world.root("add_replicas", rse, [file | {"bytes": 1, "adler32": "00000001"}])
        return file

    def new_file(self, scope: str, level: str) -> dict[str, Any]:
        return self.name(scope, level) | {"bytes": 1, "adler32": "00000001"}

    def dataset(self, scope: str, level: str, *rses: str) -> tuple[dict[str, str], dict[str, Any]]:
        """Return a dataset and the file in it."""
        dataset, file = self.name(scope, level), self.file(scope, level, *(rses or (ONSITE,)))
        self.world.root("add_did", dataset["scope"], dataset["name"], "DATASET")
        self.world.root("attach_dids", dataset["scope"], dataset["name"], [file])
        return dataset, file

    def rule(self, did: object, expression: str, account: str, copies: int = 1, **keywords: object) -> str:
        """Return a rule that the administrator made for an account."""
        made = self.world.root("add_replication_rule", [did], copies, expression, account=account, **keywords)
        return str(made[0])


def register_on_site(s: Scene) -> None:
    s.call("add_replicas", ONSITE, [s.new_file(s.own, "DL0")])


def register_off_site(s: Scene) -> None:
    if s.role is Role.USER:
        s.call("add_replicas", PIC, [s.new_file(s.scope, "DL3")])
    else:
        s.call("add_replicas", PIC, [s.new_file(s.own, "DL3" if s.met else "DL0")])


def compose(s: Scene) -> None:
    name = s.name(s.scope, "DL3")
    s.call("add_did", name["scope"], name["name"], "DATASET")


def detach_raw(s: Scene) -> None:
    dataset, file = s.dataset(s.own, "DL0")
    s.call("detach_dids", dataset["scope"], dataset["name"], [file])


def detach(s: Scene) -> None:
    dataset, file = s.dataset(s.derived, "DL3")
    s.call("detach_dids", dataset["scope"], dataset["name"], [file])


def close(s: Scene) -> None:
    dataset, _ = s.dataset(s.scope, "DL3")
    s.call("set_status", dataset["scope"], dataset["name"], open=False)


def reopen(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL3")
    s.world.root("set_status", dataset["scope"], dataset["name"], open=False)
    s.call("set_status", dataset["scope"], dataset["name"], open=True)


def describe(s: Scene) -> None:
    dataset, _ = s.dataset(s.scope, "DL3")
    s.call("set_metadata", dataset["scope"], dataset["name"], "data__level", "DL3")


def describe_content(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL3")
    s.call("set_metadata", dataset["scope"], dataset["name"], "data__level", "DL3", recursive=True)


def kept_raw(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0")
    s.call("set_metadata", dataset["scope"], dataset["name"], "lifetime", 86400)


def kept(s: Scene) -> None:
    dataset, _ = s.dataset(s.derived, "DL3")
    s.call("set_metadata", dataset["scope"], dataset["name"], "lifetime", 86400)


def rule(s: Scene) -> None:
    dataset, _ = s.dataset(s.world.foreign, "DL0")
    ends = s.met and s.role in {Role.OPERATOR, Role.USER}
    s.call("add_replication_rule", [dataset], 1, ONSITE, lifetime=3600 if ends else None)


def rule_of_another(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL3")
    s.call("add_replication_rule", [dataset], 1, ONSITE, lifetime=3600, account="root")


def end_preserving(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0", ONSITE, PIC, CSCS)
    for rse in (PIC, CSCS) if s.met else (PIC,):
        s.rule(dataset, rse, "root")
    s.call("delete_replication_rule", s.rule(dataset, ONSITE, s.account))


def change_preserving(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0", ONSITE, PIC)
    changes = {"source_replica_expression": ONSITE} if s.met and s.role is Role.INGEST else {"lifetime": 86400}
    s.call("update_replication_rule", s.rule(dataset, PIC, s.account), changes)


def move_preserving(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0", PIC, CSCS)
    s.rule(dataset, CSCS, "root")
    s.call("move_replication_rule", s.rule(dataset, "centre=PIC", s.account), PIC if s.met else CSCS, {})


def end_rule(s: Scene) -> None:
    dataset, _ = s.dataset(s.derived, "DL3", ONSITE, PIC)
    if s.role is Role.INGEST:
        mine = s.rule(dataset, ONSITE if s.met else PIC, s.account, lifetime=3600)
    else:
        mine = s.rule(dataset, ONSITE, s.account if s.met else "root", lifetime=3600)
    s.call("delete_replication_rule", mine)


def change_rule(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL3", ONSITE, PIC)
    mine = s.rule(dataset, ONSITE, s.account if s.met else "root", lifetime=3600)
    s.call("update_replication_rule", mine, {"lifetime": None if s.role is Role.INGEST else 7200})


def approve_rule(s: Scene) -> None:
    # a rule that does not wait stays as it is
    dataset, _ = s.dataset(s.own, "DL3", PIC, CSCS)
    s.call("approve_replication_rule", s.rule(dataset, PIC if s.met else CSCS, "root"))


def declare_bad(s: Scene) -> None:
    near, far = (PIC, CSCS) if s.role is Role.OPERATOR else (ONSITE, PIC)
    rse = near if s.met else far
    s.call("declare_bad_file_replicas", [s.file(s.own, "DL0", rse) | {"rse": rse}], "a test")


def declare_suspicious(s: Scene) -> None:
    (found,) = s.world.root("list_replicas", [s.file(s.own, "DL0", PIC)])
    s.call("declare_suspicious_file_replicas", found["rses"][PIC], "a test")


def delete_replicas(s: Scene) -> None:
    s.call("delete_replicas", PIC, [s.file(s.own, "DL3", PIC)])


def replica_state(s: Scene) -> None:
    s.call("set_tombstone", [s.file(s.own, "DL3", PIC) | {"rse": PIC}])


def transfers(s: Scene) -> None:
    s.call("list_requests_history", ONSITE, PIC, "F")
    s.call("get_local_account_usage", "root")


def administer(s: Scene) -> None:
    s.call("add_account_attribute", s.account, f"x{secrets.token_hex(4)}", "y")


ATTEMPTS: dict[str, Callable[[Scene], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(register_on_site, register_off_site, compose, detach_raw, detach, close, reopen, describe, describe_content),
        *(kept_raw, kept, rule, rule_of_another, end_preserving, change_preserving, move_preserving, end_rule),
        *(change_rule, approve_rule, declare_bad, declare_suspicious, delete_replicas, replica_state, transfers),
        administer,
    )
}


def test_there_is_an_attempt_for_every_row_and_a_cell_for_every_role() -> None:
    assert list(ATTEMPTS) == list(TABLE)
    for row in TABLE.values():
        assert list(row.cells) == list(Role)
    used = {cell.condition for row in TABLE.values() for cell in row.cells.values()}
    assert used - {""} == set(CONDITIONS)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("row", TABLE)
def test_a_cell_of_the_table(world: World, row: str, role: Role) -> None:
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
def test_a_lifetime_that_is_over_ends_a_rule_as_a_deletion_does(world: World, role: Role) -> None:
    """So ends the copy on site, and so does DIRAC remove a replica."""
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
def test_a_rule_of_a_person_ends_whatever_he_asks(world: World, options: dict[str, Any]) -> None:
    scene = Scene(world, Role.USER, True)
    dataset, _ = scene.dataset(scene.own, "DL3")
    mine = scene.rule(dataset, ONSITE, scene.account, lifetime=3600)
    for method, arguments in (
        ("update_replication_rule", [mine, options]),
        ("move_replication_rule", [mine, "onsite=True", options]),
    ):
        with pytest.raises(RefusedError, match=r"AccessDenied.*(need a lifetime|by the archive administrator only)"):
            scene.call(method, *arguments)


def test_a_person_makes_no_rule_without_end_with_a_new_dataset(world: World) -> None:
    scene = Scene(world, Role.USER, True)
    name, rule = scene.name(scene.own, "DL3"), {"copies": 1, "rse_expression": ONSITE, "account": scene.account}
    with pytest.raises(RefusedError, match=r"AccessDenied.*Rules of people need a lifetime"):
        scene.call("add_did", name["scope"], name["name"], "DATASET", rules=[rule])
    with pytest.raises(RefusedError, match=r"AccessDenied.*Rules of people need a lifetime"):
        scene.call("add_dids", [name | {"type": "DATASET", "rules": [rule]}])


def test_raw_data_are_not_born_with_an_end(world: World) -> None:
    scene = Scene(world, Role.INGEST, True)
    name = scene.name(scene.own, "DL0")
    with pytest.raises(RefusedError, match=r"AccessDenied.*what Rucio itself keeps: lifetime; raw data have no end"):
        scene.call("add_did", name["scope"], name["name"], "DATASET", lifetime=1)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_rules_that_preserve_raw_data_are_not_reduced(world: World, role: Role) -> None:
    scene = Scene(world, role, True)
    dataset, _ = scene.dataset(scene.own, "DL0", PIC, CSCS)
    both = scene.rule(dataset, "offsite=True", scene.account, copies=2)
    with pytest.raises(RefusedError, match="AccessDenied"):
        scene.call("reduce_replication_rule", both, 1)
    (kept,) = world.root("list_did_rules", dataset["scope"], dataset["name"])
    assert (kept["id"], kept["copies"], kept["expires_at"]) == (both, 2, None)


def test_the_workload_management_cannot_register_false_copies_of_raw_data_with_a_dataset(world: World) -> None:
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


def test_an_unknown_role_is_none(world: World) -> None:
    scene = Scene(world, Role.READER, True)
    world.root("add_account_attribute", scene.account, ROLE_ATTRIBUTE, "emperor")
    with pytest.raises(RefusedError, match=r"AccessDenied.*may only read"):
        compose(scene)
    world.root("delete_account_attribute", scene.account, ROLE_ATTRIBUTE)
