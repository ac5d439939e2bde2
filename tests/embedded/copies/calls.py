"""Calls that could end a copy, as an account of any role makes them; chance chooses what they are about."""

from __future__ import annotations

import json
import random
import secrets
from typing import Any

import attrs

from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import RefusedError
from tests.embedded.copies.small_archive import SmallArchive
from tests.embedded.copies.world import RSES, World, replica, row

DAY_S = 86400


@attrs.define
class Turn:
    """One account's turn to make a call.

    Chance chooses the arguments, because Rucio is never twice in the same state.
    """

    archive: SmallArchive
    actor: str
    chance: random.Random

    def one(self, *of: Any) -> Any:  # noqa: ANN401
        return self.chance.choice(of)

    @property
    def world(self) -> World:
        return self.archive.world

    @property
    def scope(self) -> str:
        return self.world.scopes[self.actor]

    def file(self) -> tuple[str, str]:
        return self.chance.choice([*self.archive.files])

    def target(self) -> tuple[str, str]:
        """Choose a file, a block, a dataset or container of an account, or a directory."""
        return self.chance.choice(
            [*self.archive.files, *self.archive.blocks, *self.archive.collections, *self.archive.directories]
        )

    def copy(self, did: tuple[str, str]) -> str:
        """Choose a storage element, one with a copy of the file if there is one."""
        return str(self.chance.choice([rse for rse in RSES if self.world.path(rse, did[1]).exists()] or list(RSES)))

    def rule_id(self) -> str:
        rules = self.world.database.execute(
            "select id::text from rucio.rules where (scope, name) in (select * from unnest(%s::text[], %s::text[]))"
            " order by created_at",
            [list(part) for part in zip(*self.archive.dids(), strict=True)],
        ).fetchall()
        return str(self.one(*[found for (found,) in rules] or [secrets.token_hex(16)])).replace("-", "")

    def lifetime(self) -> int | None:
        return self.chance.choice([1, 1, DAY_S, 2 * DAY_S, None])

    def real(self, rse: str, did: tuple[str, str]) -> dict[str, Any]:
        """Write a file to a storage element, and return it as Rucio's client registers it."""
        content = self.archive.files[did]
        if not self.world.path(rse, did[1]).exists():
            self.world.write(rse, did[1], content)
        return replica(did, content)

    def own(self) -> tuple[str, str]:
        """Choose a dataset or container of the account, or a new name."""
        mine = [did for did in self.archive.collections if did[0] == self.scope]
        return self.chance.choice([*mine, (self.scope, f"/ctao/{self.scope}/DL3/{secrets.token_hex(6)}")])

    def rule(self) -> dict[str, Any]:
        return {"copies": 1, "rse_expression": self.one(*RSES), "lifetime": self.lifetime()} | {
            "account": self.world.names[self.actor]
        }

    def made(self, did: tuple[str, str]) -> None:
        self.archive.collections.setdefault(did)

    def call(self, method: str, *arguments: object, **keywords: object) -> bool:
        """Make a call and count the answer; return whether it was permitted."""
        try:
            self.world.accounts[self.actor](method, *arguments, **keywords)
        except RefusedError as error:
            answer = "refused" if str(error).startswith("AccessDenied") else "failed"
            text = f"{answer}: {str(error)[:200]}"
        else:
            answer = text = "permitted"
        self.world.answers[self.actor, method, answer] += 1
        self.archive.note(f"{self.actor}: {method} {json.dumps(arguments)} {json.dumps(keywords)} -> {text}")
        return answer == "permitted"


def add_rule(t: Turn) -> None:
    rule_ = t.rule()
    t.call(
        "add_replication_rule",
        [row(t.target())],
        rule_.pop("copies"),
        rule_.pop("rse_expression"),
        **rule_,
        purge_replicas=t.one(True, False),
        grouping=t.one("DATASET", "NONE", "ALL"),
    )


def update_rule(t: Turn) -> None:
    options = t.one(
        *({"lifetime": life} for life in (-1, 0, 1, DAY_S, None)),
        {"state": "SUSPENDED"},
        {"purge_replicas": True},
        {"source_replica_expression": t.one(*RSES)},
        {"boost_rule": True},
        {"eol_at": "Mon, 30 Nov 2020 10:00:00 UTC"},
    )
    t.call("update_replication_rule", t.rule_id(), options)


def chain_rules(t: Turn) -> None:
    t.call("update_replication_rule", t.rule_id(), {"child_rule_id": t.rule_id()})


def end_rule(t: Turn) -> None:
    t.call("delete_replication_rule", t.rule_id(), purge_replicas=t.one(True, False))


def reduce_rule(t: Turn) -> None:
    t.call("reduce_replication_rule", t.rule_id(), 1, exclude_expression=t.one(*RSES))


def move_rule(t: Turn) -> None:
    override = t.one({}, {"lifetime": 1}, {"lifetime": DAY_S}, {"activity": "T0 Export"})
    t.call("move_replication_rule", t.rule_id(), t.one(*RSES), override)


def set_lifetime(t: Turn) -> None:
    did = t.target()
    key, value = t.one(("lifetime", 1), ("lifetime", 1), ("lifetime", DAY_S), ("eol_at", "2020-01-01T00:00:00"))
    if t.one(True, False):
        t.call("set_metadata", *did, key, value, recursive=t.one(True, False))
    else:
        t.call("set_metadata_bulk", *did, {key: value, "purge_replicas": True}, recursive=t.one(True, False))


def declare_bad(t: Turn) -> None:
    did = t.file()
    t.call("declare_bad_file_replicas", [row(did) | {"rse": t.copy(did)}], "x", force=t.one(True, False))


def declare_bad_did(t: Turn) -> None:
    did = t.file()
    t.call("declare_bad_did_replicas", t.copy(did), [row(did)], "x")


def declare_bad_by_place(t: Turn) -> None:
    did = t.file()
    place = f"file://{t.world.path(t.copy(did), did[1])}"
    t.call("declare_bad_file_replicas", [place], "x", force=t.one(True, False))


def declare_suspicious(t: Turn) -> None:
    did = t.file()
    t.call("declare_suspicious_file_replicas", [f"file://{t.world.path(t.copy(did), did[1])}"], "x")


def declare_places(t: Turn) -> None:
    did = t.file()
    state, end = t.one(("BAD", None), ("TEMPORARY_UNAVAILABLE", "2099-01-01T00:00:00"), ("SUSPICIOUS", None))
    t.call("add_bad_pfns", [f"file://{t.world.path(t.copy(did), did[1])}"], "x", state, end)


def set_state(t: Turn) -> None:
    did, state = t.file(), t.one("A", "U", "B", "T", "D")
    rse = t.copy(did)
    if state != "A" or t.world.path(rse, did[1]).exists():
        t.call("update_replicas_states", rse, [row(did) | {"state": state}])


def delete_replicas(t: Turn) -> None:
    did = t.file()
    t.call("delete_replicas", t.copy(did), [row(did)])


def set_tombstone(t: Turn) -> None:
    did = t.file()
    t.call("set_tombstone", [row(did) | {"rse": t.copy(did)}])


def delete_unknown(t: Turn) -> None:
    did = t.file()
    t.call("quarantine_replicas", [row(did) | {"path": did[1]}], rse=t.copy(did))


def detach(t: Turn) -> None:
    t.call("detach_dids", *t.one(*t.archive.blocks, *t.archive.collections, *t.archive.directories), [row(t.file())])


def set_status(t: Turn) -> None:
    t.call("set_status", *t.one(*t.archive.blocks, *t.archive.collections), open=t.one(True, False))


def make_collection(t: Turn) -> None:
    did, kind = t.own(), t.one("DATASET", "DATASET", "CONTAINER")
    born = {"rules": [t.rule()]} if t.one(True, False) else {}
    born |= t.one({}, {}, {"lifetime": 1}, {"meta": {"lifetime": 1}})
    if t.call("add_did", *did, kind, **born):
        t.made(did)


def make_collection_with_files(t: Turn) -> None:
    did = t.own()
    content = {"dids": [row(t.file())], "rules": [t.rule()]} | t.one({}, {"lifetime": 1})
    if t.call("add_dids", [row(did) | {"type": "DATASET"} | content]):
        t.made(did)


def attach(t: Turn) -> None:
    t.call("attach_dids", *t.one(t.own(), *t.archive.collections, *t.archive.blocks), [row(t.target())])


def attach_many(t: Turn) -> None:
    parents = [t.one(t.own(), *t.archive.collections, *t.archive.blocks) for _ in range(2)]
    t.call("attach_dids_to_dids", [row(parent) | {"dids": [row(t.target())]} for parent in parents])


def archive(t: Turn) -> None:
    t.call("add_files_to_archive", *t.file(), [row(t.file())])


def register_copy(t: Turn) -> None:
    rse, did = t.one(*RSES), t.file()
    t.call("add_replicas", rse, [t.real(rse, did)])


def attach_copy(t: Turn) -> None:
    rse, did = t.one(*RSES), t.file()
    parent = t.one(t.own(), *t.archive.collections, *t.archive.blocks)
    t.call("attach_dids", *parent, [t.real(rse, did)], rse=rse)


def register_under_another_scope(t: Turn) -> None:
    rse, did = t.one(*RSES), t.file()
    file = t.real(rse, did) | {"scope": t.scope}
    if t.one(True, False):
        t.call("add_replicas", rse, [file])
    else:
        t.call("attach_dids", *t.own(), [file], rse=rse)


def register_new(t: Turn) -> None:
    """Register a new file, whose metadata may give it an end; a raw file is preserved from now on."""
    is_raw = t.actor in {Role.INGEST, "root", Role.ADMIN}
    scope = t.archive.scope if is_raw else t.scope
    did = (scope, f"/ctao/{scope}/{'DL0' if is_raw else 'DL3'}/{secrets.token_hex(6)}")
    rse, content = t.one(*(rse for rse in RSES if rse != t.archive.lost)), secrets.token_bytes(100)
    t.world.write(rse, did[1], content)
    file = replica(did, content) | t.one({}, {"meta": {"lifetime": 1}}, {"meta": {"expired_at": "2020-01-01T00:00:00"}})
    if t.one(True, False):
        done = t.call("add_replicas", rse, [file])
    else:
        done = t.call("attach_dids", *t.one(t.own(), *t.archive.blocks, *t.archive.collections), [file], rse=rse)
    if done:
        t.archive.files[did] = content
        if is_raw:
            t.archive.preserved[did] = content


def delay_tombstones(t: Turn) -> None:
    t.call("add_rse_attribute", t.one(*RSES), "tombstone_delay", "1")


CALLS = (
    *(add_rule, update_rule, chain_rules, end_rule, reduce_rule, move_rule, set_lifetime, declare_bad, declare_bad_did),
    *(declare_bad_by_place, declare_suspicious, declare_places, set_state, delete_replicas, set_tombstone),
    *(delete_unknown, detach, set_status, make_collection, make_collection_with_files, attach, attach_many, archive),
    *(register_copy, attach_copy, register_under_another_scope, register_new, delay_tombstones),
)
