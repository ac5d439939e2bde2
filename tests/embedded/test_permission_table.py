"""Every cell of the table of permissions, asked over REST by an account of each role.

An attempt is the best case for its row: the scope and the rule belong to the account that asks. Where a cell asks for
a condition, a second attempt misses it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.embedded import READER, ROOT
from ctao_rucio_policy.guards import CHECKS
from ctao_rucio_policy.roles import CENTRE_ATTRIBUTE, CONDITIONS, GUARDS, ROLE_ATTRIBUTE, TABLE, Role
from tests.database import suspend_rules
from tests.embedded.accounts import Account, RefusedError, acting_as, config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.embedded import Instance

ONSITE, PIC, CSCS = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"
BYTES = 10**12
DAY_S = 86400


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
    # Their files have no bytes: Rucio would go on trying to copy them while other tests wait for copies of theirs.
    suspend_rules(embedded_rucio_instance, [*scopes.values(), foreign])


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

    def held(self, scope: str, level: str, *rses: str) -> dict[str, Any]:
        """Return a file that rules without end hold at storage elements."""
        file = self.file(scope, level, *rses)
        for rse in rses:
            self.rule(file, rse, "root")
        return file

    def holding(self, scope: str, rse: str) -> tuple[dict[str, str], dict[str, Any], str]:
        """Return a dataset of derived data with a raw file in it, which nothing holds but the rule on the dataset."""
        dataset, file = self.name(scope, "DL3"), self.file(self.world.foreign, "DL0", rse)
        self.world.root("add_did", dataset["scope"], dataset["name"], "DATASET")
        self.world.root("attach_dids", dataset["scope"], dataset["name"], [file])
        return dataset, file, self.rule(dataset, rse, self.account)

    def declared_bad(self) -> dict[str, Any]:
        """Return a file with two copies, of which the one at PIC has just been declared bad."""
        file = self.held(self.own, "DL0", PIC, CSCS)
        self.world.root("declare_bad_file_replicas", [file | {"rse": PIC}], "a test")
        return file

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


def name(s: Scene) -> None:
    compose(s)


def sample(s: Scene) -> None:
    dataset, new = s.dataset(s.own, "DL3")[0], s.name(s.own, "DL3")
    s.call("create_did_sample", *dataset.values(), *new.values(), 1)


def hold(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL3")
    s.call("attach_dids", *dataset.values(), [s.file(s.own, "DL3", PIC)])


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
    _, file = s.dataset(s.own, "DL0")
    s.call("set_metadata", file["scope"], file["name"], "events", 5)


def kept(s: Scene) -> None:
    dataset, _ = s.dataset(s.derived, "DL3")
    s.call("set_metadata", dataset["scope"], dataset["name"], "lifetime", 86400)


def rule(s: Scene) -> None:
    scope = s.own if s.role is Role.INGEST else s.world.foreign
    dataset, _ = s.dataset(scope, "DL3", ONSITE, PIC)
    ends = s.role in {Role.OPERATOR, Role.USER} if s.met else s.role is Role.INGEST
    s.call("add_replication_rule", [dataset], 1, PIC if s.met else ONSITE, lifetime=2 * DAY_S if ends else None)


def copy(s: Scene) -> None:
    file = s.held(s.own, "DL3", PIC, CSCS)
    s.call("add_replication_rule", [file], 1, PIC, lifetime=None if s.role is Role.INGEST else 2 * DAY_S)


def subscribe(s: Scene) -> None:
    filters, rules = {"scope": [s.own]}, [{"copies": 1, "rse_expression": PIC, "lifetime": 1, "activity": "T0 Export"}]
    s.call("add_subscription", secrets.token_hex(8), s.account, filters, rules, "a test", None, False, False, 3)


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
    s.rule(dataset, ONSITE, "root")
    changes = {"source_replica_expression": ONSITE} if s.met and s.role is Role.INGEST else {"lifetime": 86400}
    s.call("update_replication_rule", s.rule(dataset, PIC, s.account), changes)


def move_preserving(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0", PIC, CSCS)
    s.rule(dataset, CSCS, "root")
    mine = s.rule(dataset, PIC, s.account)
    s.call("move_replication_rule", mine, "centre=PIC" if s.met else "centre=CSCS", {})


def end_rule(s: Scene) -> None:
    dataset, _ = s.dataset(s.derived, "DL3", ONSITE, PIC)
    if s.role is Role.INGEST:
        mine = s.rule(dataset, ONSITE if s.met else PIC, s.account, lifetime=3600)
    else:
        mine = s.rule(dataset, ONSITE, s.account if s.met else "root", lifetime=3600)
    s.call("delete_replication_rule", mine)


def change_rule(s: Scene) -> None:
    dataset, _ = s.dataset(s.derived, "DL3", ONSITE, PIC)
    mine = s.rule(dataset, ONSITE, s.account if s.met else "root", lifetime=3600)
    s.call("update_replication_rule", mine, {"lifetime": None if s.role is Role.INGEST else 7200})


def approve_rule(s: Scene) -> None:
    # a rule that does not wait stays as it is
    dataset, _ = s.dataset(s.own, "DL3", PIC, CSCS)
    s.call("approve_replication_rule", s.rule(dataset, PIC if s.met else CSCS, "root"))


def declare_bad(s: Scene) -> None:
    near, far = (PIC, CSCS) if s.role is Role.OPERATOR else (ONSITE, PIC)
    rse = near if s.met else far
    s.call("declare_bad_file_replicas", [s.held(s.own, "DL0", near, far) | {"rse": rse}], "a test")


def place(s: Scene, file: dict[str, Any], rse: str) -> str:
    """Return where a copy lies."""
    (found,) = s.world.root("list_replicas", [file], all_states=True)
    return str(found["rses"][rse][0])


def declare_places(s: Scene) -> None:
    place_ = place(s, s.held(s.own, "DL0", PIC, CSCS), PIC)
    s.call("add_bad_pfns", [place_], "a test", "BAD", None)


def declare_suspicious(s: Scene) -> None:
    s.call("declare_suspicious_file_replicas", [place(s, s.held(s.own, "DL0", PIC, CSCS), PIC)], "a test")


def delete_replicas(s: Scene) -> None:
    s.call("delete_replicas", PIC, [s.held(s.own, "DL3", PIC, CSCS)])


def delete_unknown(s: Scene) -> None:
    s.call("quarantine_replicas", [{"path": f"/ctao/unknown/{secrets.token_hex(6)}"}], rse=PIC)


def replica_state(s: Scene) -> None:
    file = s.held(s.own, "DL0", PIC, CSCS) | {"state": "U"}
    s.call("update_replicas_states", PIC, [file])


def transfers(s: Scene) -> None:
    s.call("list_requests_history", ONSITE, PIC, "F")
    s.call("get_local_account_usage", "root")


def administer(s: Scene) -> None:
    s.call("add_account_attribute", s.account, f"x{secrets.token_hex(4)}", "y")


def administer_storage(s: Scene) -> None:
    key = f"x{secrets.token_hex(4)}"
    s.call("add_rse_attribute", PIC, key, "y")
    s.world.root("delete_rse_attribute", PIC, key)


ATTEMPTS: dict[str, Callable[[Scene], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(
            register_on_site,
            register_off_site,
            name,
            hold,
            compose,
            sample,
            detach_raw,
            detach,
            close,
            reopen,
            describe,
        ),
        *(describe_content, kept_raw, kept, rule, copy, subscribe, rule_of_another, end_preserving, change_preserving),
        *(move_preserving, end_rule, change_rule, approve_rule, declare_bad, declare_places, declare_suspicious),
        *(delete_replicas, delete_unknown, replica_state, transfers, administer, administer_storage),
    )
}


def breach_name(s: Scene) -> None:
    s.call("add_did", s.own, f"/ctao/{s.world.foreign}/DL3/{secrets.token_hex(6)}", "DATASET")


def breach_hold(s: Scene) -> None:
    dataset = s.name(s.own, "DL3")
    s.world.root("add_did", *dataset.values(), "DATASET")
    s.rule(dataset, PIC, "root", lifetime=1)
    s.call("attach_dids", *dataset.values(), [s.file(s.world.foreign, "DL0", PIC)])


def breach_detach_raw(s: Scene) -> None:
    dataset, file = s.dataset(s.own, "DL0", PIC)
    s.rule(dataset, PIC, "root")
    s.call("detach_dids", dataset["scope"], dataset["name"], [file])


def breach_detach(s: Scene) -> None:
    dataset, file, _ = s.holding(s.own, PIC)
    s.call("detach_dids", dataset["scope"], dataset["name"], [file])


def breach_kept_raw(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0")
    s.call("set_metadata", dataset["scope"], dataset["name"], "lifetime", 86400)


def breach_kept(s: Scene) -> None:
    dataset, _, _ = s.holding(s.own, PIC)
    s.call("set_metadata", dataset["scope"], dataset["name"], "lifetime", 10 * DAY_S)


def breach_rule(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0", PIC)
    s.call("add_replication_rule", [dataset], 1, PIC, lifetime=2 * DAY_S)


def breach_copy(s: Scene) -> None:
    for _ in range(5):  # Rucio may have asked for a new copy already: then a rule is no harm
        file = s.declared_bad()
        s.call("add_replication_rule", [file], 1, PIC, lifetime=None if s.role is Role.INGEST else 2 * DAY_S)


def breach_end_preserving(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0", PIC)
    s.call("update_replication_rule", s.rule(dataset, PIC, s.account), {"lifetime": 0})


def breach_change_preserving(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0", PIC)
    s.call("update_replication_rule", s.rule(dataset, PIC, s.account), {"lifetime": 10 * DAY_S})


def breach_move_preserving(s: Scene) -> None:
    dataset, _ = s.dataset(s.own, "DL0", PIC, CSCS)
    s.call("move_replication_rule", s.rule(dataset, "centre=PIC", s.account), CSCS, {"lifetime": 1})


def breach_end_rule(s: Scene) -> None:
    *_, mine = s.holding(s.own, PIC)
    s.call("delete_replication_rule", mine)


def breach_change_rule(s: Scene) -> None:
    *_, mine = s.holding(s.own, PIC)
    s.call("update_replication_rule", mine, {"lifetime": 10 * DAY_S})


def breach_declare_bad(s: Scene) -> None:
    near = PIC if s.role is Role.OPERATOR else ONSITE
    file = s.held(s.own, "DL0", near)
    with pytest.raises(RefusedError, match=r"AccessDenied.*is the last sound one"):  # by place, and with force
        s.call("declare_bad_file_replicas", [place(s, file, near)], "a test", force=True)
    s.call("declare_bad_file_replicas", [file | {"rse": near}], "a test")


def breach_declare_suspicious(s: Scene) -> None:
    place_ = place(s, s.held(s.own, "DL0", PIC, CSCS), PIC)
    s.call("declare_suspicious_file_replicas", [place_], "a test")
    with pytest.raises(RefusedError, match=r"AccessDenied.*within the last day"):
        s.call("declare_suspicious_file_replicas", [place_], "a test")
    s.call("declare_suspicious_file_replicas", [place(s, s.held(s.own, "DL0", PIC), PIC)], "a test")


def breach_delete_unknown(s: Scene) -> None:
    file = s.held(s.own, "DL3", PIC)
    s.call("quarantine_replicas", [{"path": f"/storage/PIC-DISK{file['name']}"}], rse=PIC)


def breach_replica_state(s: Scene) -> None:
    s.call("update_replicas_states", PIC, [s.held(s.own, "DL0", PIC) | {"state": "U"}])


def breach_administer_storage(s: Scene) -> None:
    s.call("add_rse_attribute", PIC, "tombstone_delay", "1")


#: What each guard refuses, whoever asks.
BREACHES: dict[str, Callable[[Scene], None]] = {
    function.__name__.removeprefix("breach_").replace("_", "-"): function
    for function in (
        *(breach_name, breach_hold, breach_detach_raw, breach_detach, breach_kept_raw, breach_kept, breach_rule),
        breach_copy,
        *(breach_end_preserving, breach_change_preserving, breach_move_preserving, breach_end_rule, breach_change_rule),
        *(breach_declare_bad, breach_declare_suspicious, breach_delete_unknown, breach_replica_state),
        breach_administer_storage,
    )
}
_SAID = {
    "held": "without lifetime holds .* yet",
    "held_without": "Nothing else would hold",
    "lasting": "no rule without lifetime holds .* yet",
    "named": "it would be the same file",
    "no_end": "preserved data have no lifetime",
    "other_copy": "is the last sound one",
    "replaced": "at PIC-DISK was declared bad, and Rucio replaces it",
    "suspected": "must not be replaced automatically",
    "unregistered": "which is registered in the archive",
    "without_delay": "expire before a rule holds them",
}


def test_there_is_an_attempt_for_every_row_and_a_cell_for_every_role() -> None:
    assert list(ATTEMPTS) == list(TABLE)
    for row in TABLE.values():
        assert list(row.cells) == list(Role)
    used = {cell.condition for row in TABLE.values() for cell in row.cells.values()}
    assert used - {""} == set(CONDITIONS)
    assert {row.guard for row in TABLE.values()} - {""} == set(GUARDS) == set(CHECKS)
    assert {key for key, row in TABLE.items() if row.guard} == set(BREACHES)


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
@pytest.mark.parametrize("row", [key for key, row in TABLE.items() if row.guard])
def test_guard_holds_for_every_role_that_may(world: World, row: str, role: Role) -> None:
    cell, scene = TABLE[row].cells[role], Scene(world, role, True)
    if cell.refusal:
        return
    with pytest.raises(RefusedError, match="AccessDenied") as caught:
        BREACHES[row](scene)
    if role is Role.ADMIN or not cell.condition:  # a condition may refuse first
        assert re.search(_SAID[TABLE[row].guard], str(caught.value))


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
    with pytest.raises(RefusedError, match=r"AccessDenied.*Rules of users and operators need a lifetime"):
        scene.call("add_did", name["scope"], name["name"], "DATASET", rules=[rule])
    with pytest.raises(RefusedError, match=r"AccessDenied.*Rules of users and operators need a lifetime"):
        scene.call("add_dids", [name | {"type": "DATASET", "rules": [rule]}])


def test_raw_data_are_not_born_with_an_end(world: World) -> None:
    scene = Scene(world, Role.INGEST, True)
    name = scene.name(scene.own, "DL0")
    with pytest.raises(
        RefusedError, match=r"AccessDenied.*own metadata cannot be changed: lifetime; raw data have no lifetime"
    ):
        scene.call("add_did", name["scope"], name["name"], "DATASET", lifetime=1)


@pytest.mark.parametrize("end", [{"lifetime": 1}, {"expired_at": "2020-01-01T00:00:00"}])
@pytest.mark.parametrize("role", [Role.ADMIN, Role.INGEST])
def test_raw_file_registered_with_an_end_is_refused(world: World, role: Role, end: dict[str, Any]) -> None:
    """The undertaker ends the name, and the reaper its only copy, within seconds."""
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
    """Rucio would take it for a copy on its way, ask for no transfer, and forget that it is bad."""
    scene = Scene(world, Role.ADMIN, True)

    def try_often() -> None:
        for _ in range(5):  # Rucio may have asked for a new copy already: then a lock is no harm
            attempt(scene, scene.declared_bad())

    with pytest.raises(RefusedError, match=r"AccessDenied.*at PIC-DISK was declared bad, and Rucio replaces it"):
        try_often()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_copy_is_not_declared_bad_while_rucio_has_still_to_lock_it(world: World, asynchronous: bool) -> None:
    """The other way round: the lock of an earlier rule would come after the copy was declared bad."""
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


def test_rule_elsewhere_needs_not_wait_for_a_bad_copy(world: World) -> None:
    scene = Scene(world, Role.ADMIN, True)
    scene.call("add_replication_rule", [scene.declared_bad()], 1, ONSITE)


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


def test_every_call_that_gives_a_name_refuses_one_of_another_scope(world: World) -> None:
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


def test_raw_data_in_a_dataset_of_others_stay_held(world: World) -> None:
    """What a dataset holds counts, not only its name: a rule of one second on it would take raw data with it."""
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


def test_an_unknown_role_is_none(world: World) -> None:
    scene = Scene(world, Role.READER, True)
    world.root("add_account_attribute", scene.account, ROLE_ATTRIBUTE, "emperor")
    with pytest.raises(RefusedError, match=r"AccessDenied.*may only read"):
        compose(scene)
    world.root("delete_account_attribute", scene.account, ROLE_ATTRIBUTE)


def test_keys_of_another_call_do_not_hide_which_copy_is_meant(
    world: World, embedded_rucio_instance: Instance, ask: Callable[..., Any]
) -> None:
    """A request may carry any keys; the guard reads those that Rucio reads."""
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
