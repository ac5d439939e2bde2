"""For each row with a guard, one call that the guard refuses for every role."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import RefusedError
from tests.embedded.permissions.scene import CSCS, DAY_S, ONSITE, PIC, Scene, place

if TYPE_CHECKING:
    from collections.abc import Callable


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


#: By row, the call that its guard refuses for every role.
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
GUARD_MESSAGES = {
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
