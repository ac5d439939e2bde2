"""One call for each row of the permission table.

An attempt is the best case for its row: the scope and the rule belong to the account that asks. If the cell has a
condition, the scene says whether the call meets it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ctao_rucio_policy.roles import Role
from tests.embedded.permissions.scene import CSCS, DAY_S, ONSITE, PIC, Scene, place

if TYPE_CHECKING:
    from collections.abc import Callable


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
    block = s.block(s.scope)
    s.world.root("set_status", block["scope"], block["name"], open=False)
    s.call("set_status", block["scope"], block["name"], open=True)


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
        *(register_on_site, register_off_site, name, hold, compose, sample, detach_raw, detach, close, reopen),
        *(describe, describe_content, kept_raw, kept, rule, copy, subscribe, rule_of_another, end_preserving),
        *(change_preserving, move_preserving, end_rule, change_rule, approve_rule, declare_bad, declare_places),
        *(declare_suspicious, delete_replicas, delete_unknown, replica_state, transfers, administer),
        administer_storage,
    )
}
