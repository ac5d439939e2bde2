"""The life of a copy on a real Rucio, while accounts of every role try whatever could end it.

Blocks are opened, filled, closed, copied, released and split, centres are lost; between any two steps somebody makes a
call, permitted or not, and Rucio's own daemons act on it. What counts is read from the database and from the disks,
never from answers: each preserved file has a sound copy that nothing can free.

``pytest tests`` runs a few examples; ``--copy-examples 200`` as many as it says, with the table at the end.
"""

from __future__ import annotations

import json
import random
import secrets
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import INGEST, READER, ROOT, Instance
from ctao_bdms.embedded.namespace import add_scope
from ctao_bdms.embedded.state import State
from ctao_bdms.embedded.topology import WMS
from ctao_bdms.model import Did, FirstRule, Lfn
from ctao_bdms.naming import path_of_lfn
from ctao_bdms.testing.contract import registration
from ctao_rucio_policy.roles import CENTRE_ATTRIBUTE, ROLE_ATTRIBUTE, Role
from tests.embedded.accounts import Account, RefusedError, acting_as, config

if TYPE_CHECKING:
    from collections.abc import Iterator


ONSITE, PIC, CSCS = RSES = ("CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK")
EXAMPLES, STEPS = 4, 25
#: How long Rucio's evaluator may take for a new file, in seconds, also when it has met a lock.
EVALUATED_S = 120
#: How long it takes until cleaner, undertaker and reaper have done all that follows from a call, in seconds.
SETTLED_S = 15
DAY_S = 86400

#: Replicas of a file: where, whether available, whether nothing can free it, whether a rule without end holds it.
_REPLICAS = """
select rses.rse, replicas.state = 'A', replicas.lock_cnt > 0 or replicas.tombstone is null, exists (
  select from rucio.locks join rucio.rules on rules.id = locks.rule_id
  where locks.scope = replicas.scope and locks.name = replicas.name and locks.rse_id = replicas.rse_id
  and locks.state = 'O' and rules.expires_at is null)
from rucio.replicas join rucio.rses on rses.id = replicas.rse_id
join rucio.dids on dids.scope = replicas.scope and dids.name = replicas.name
where replicas.scope = %s and replicas.name = %s and not exists (
  select from rucio.rse_attr_map where rse_attr_map.rse_id = rses.id and key = 'lost' and value <> '')
"""


@attrs.define
class World:
    """A real Rucio with an account of each role, its database and its disks; and what has been tried on it."""

    instance: Instance
    catalogue: RucioCatalogue
    accounts: Mapping[str, Account]
    names: Mapping[str, str]
    scopes: Mapping[str, str]
    database: psycopg.Connection[Any]
    #: answers by role, call and kind
    answers: Counter[tuple[str, str, str]] = attrs.Factory(Counter)
    #: what each example has made, by the scope of its raw data: preserved files with their bytes, and its calls
    preserved: dict[str, dict[tuple[str, str], bytes]] = attrs.Factory(dict)
    calls: dict[str, list[str]] = attrs.Factory(dict)
    #: what was registered in a block, and so gets a lock
    in_blocks: set[tuple[str, str]] = attrs.Factory(set)

    @property
    def root(self) -> Account:
        return self.accounts["root"]

    def path(self, rse: str, name: str) -> Path:
        return Path(path_of_lfn(Lfn(name), self.instance.storage(rse)))

    def write(self, rse: str, name: str, content: bytes) -> None:
        path = self.path(rse, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def sound(self, file: tuple[str, str], content: bytes) -> list[tuple[str, bool, bool]]:
        """Return the copies with the right bytes at places that are not lost: where, whether kept, whether held."""
        rows = self.database.execute(_REPLICAS, file).fetchall()
        return [
            (rse, kept, held)
            for rse, is_available, kept, held in rows
            if is_available and (path := self.path(rse, file[1])).exists() and path.read_bytes() == content
        ]

    def violations(self, scope: str) -> list[str]:
        """Return which preserved files have no sound copy that is safe, with all that was done."""
        lost = [
            f"{name}: {self.sound((owner, name), content)}"
            for (owner, name), content in self.preserved[scope].items()
            if not any(kept for _, kept, _ in self.sound((owner, name), content))
        ]
        return [*lost, *self.calls[scope]] if lost else []

    def unheld(self, scope: str) -> list[str]:
        """Return the preserved files in blocks that no rule without end holds."""
        return [
            name
            for (owner, name), content in self.preserved[scope].items()
            if (owner, name) in self.in_blocks and not any(held for *_, held in self.sound((owner, name), content))
        ]


@pytest.fixture(scope="module")
def world(embedded_rucio_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    instance, folder, mark = embedded_rucio_instance, tmp_path_factory.mktemp("accounts"), secrets.token_hex(3)
    state = State.load(instance.home.state_file)
    assert state is not None
    url = state.sqlalchemy_url(instance.home.socket).replace("+psycopg", "")
    with ExitStack() as stack:
        database = stack.enter_context(psycopg.connect(url, autocommit=True))
        root = stack.enter_context(acting_as(instance.client_config(ROOT)))
        accounts, names, scopes = {"root": root}, {"root": ROOT}, {}
        for role in Role:
            name = names[role] = {Role.INGEST: INGEST, Role.WMS: WMS}.get(role, f"{role.value}-{mark}")
            if role in {Role.INGEST, Role.WMS}:
                accounts[role] = stack.enter_context(acting_as(instance.client_config(name)))
                continue
            root("add_account", name, "USER", f"{name}@localhost")
            root("add_identity", name, name, "USERPASS", f"{name}@localhost", True, "secret")
            root("add_account_attribute", name, ROLE_ATTRIBUTE, role.value)
            if role is Role.OPERATOR:
                root("add_account_attribute", name, CENTRE_ATTRIBUTE, "PIC")
            for rse in RSES:
                root("set_local_account_limit", name, rse, 10**12)
            accounts[role] = stack.enter_context(acting_as(config(instance.client_config(READER), folder, name)))
        for actor, name in names.items():
            scopes[actor] = f"c{mark}-{actor}"
            root("add_scope", name, scopes[actor])
        catalogue = RucioCatalogue.connect(instance.client_config())
        yield World(instance, catalogue, accounts, names, scopes, database)


def row(did: tuple[str, str]) -> dict[str, str]:
    """Return a data identifier as Rucio's client takes it."""
    return {"scope": did[0], "name": did[1]}


def replica(did: tuple[str, str], content: bytes) -> dict[str, Any]:
    """Return a file as Rucio's client registers it."""
    return row(did) | {"bytes": len(content), "adler32": f"{zlib.adler32(content):08x}"}


@attrs.define
class Try:
    """One call of an account: what it is about is left to chance, as Rucio is never twice in the same state."""

    machine: CopyMachine
    actor: str
    chance: random.Random

    def one(self, *of: Any) -> Any:  # noqa: ANN401
        return self.chance.choice(of)

    @property
    def world(self) -> World:
        return self.machine.world

    @property
    def scope(self) -> str:
        return self.world.scopes[self.actor]

    def file(self) -> tuple[str, str]:
        return self.chance.choice([*self.machine.files])

    def target(self) -> tuple[str, str]:
        """A file, a block, a dataset or container of some account, a directory."""
        return self.chance.choice(
            [*self.machine.files, *self.machine.blocks, *self.machine.collections, *self.machine.directories]
        )

    def copy(self, did: tuple[str, str]) -> str:
        """A storage element that has a copy, if there is one."""
        return str(self.chance.choice([rse for rse in RSES if self.world.path(rse, did[1]).exists()] or list(RSES)))

    def rule_id(self) -> str:
        rules = self.world.database.execute(
            "select id::text from rucio.rules where (scope, name) in (select * from unnest(%s::text[], %s::text[]))"
            " order by created_at",
            [list(part) for part in zip(*self.machine.dids(), strict=True)],
        ).fetchall()
        return str(self.one(*[found for (found,) in rules] or [secrets.token_hex(16)])).replace("-", "")

    def lifetime(self) -> int | None:
        return self.chance.choice([1, 1, DAY_S, 2 * DAY_S, None])

    def real(self, rse: str, did: tuple[str, str]) -> dict[str, Any]:
        """Return a file as it is registered at a storage element where it now really lies."""
        content = self.machine.files[did]
        if not self.world.path(rse, did[1]).exists():
            self.world.write(rse, did[1], content)
        return replica(did, content)

    def own(self) -> tuple[str, str]:
        """A dataset or container of the account: an old one, or a new name."""
        mine = [did for did in self.machine.collections if did[0] == self.scope]
        return self.chance.choice([*mine, (self.scope, f"/ctao/{self.scope}/DL3/{secrets.token_hex(6)}")])

    def rule(self) -> dict[str, Any]:
        return {"copies": 1, "rse_expression": self.one(*RSES), "lifetime": self.lifetime()} | {
            "account": self.world.names[self.actor]
        }

    def made(self, did: tuple[str, str]) -> None:
        self.machine.collections.setdefault(did)

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
        self.machine.note(f"{self.actor}: {method} {json.dumps(arguments)} {json.dumps(keywords)} -> {text}")
        return answer == "permitted"


def add_rule(t: Try) -> None:
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


def update_rule(t: Try) -> None:
    options = t.one(
        *({"lifetime": life} for life in (-1, 0, 1, DAY_S, None)),
        {"state": "SUSPENDED"},
        {"purge_replicas": True},
        {"source_replica_expression": t.one(*RSES)},
        {"boost_rule": True},
        {"eol_at": "Mon, 30 Nov 2020 10:00:00 UTC"},
    )
    t.call("update_replication_rule", t.rule_id(), options)


def chain_rules(t: Try) -> None:
    t.call("update_replication_rule", t.rule_id(), {"child_rule_id": t.rule_id()})


def end_rule(t: Try) -> None:
    t.call("delete_replication_rule", t.rule_id(), purge_replicas=t.one(True, False))


def reduce_rule(t: Try) -> None:
    t.call("reduce_replication_rule", t.rule_id(), 1, exclude_expression=t.one(*RSES))


def move_rule(t: Try) -> None:
    override = t.one({}, {"lifetime": 1}, {"lifetime": DAY_S}, {"activity": "T0 Export"})
    t.call("move_replication_rule", t.rule_id(), t.one(*RSES), override)


def set_lifetime(t: Try) -> None:
    did = t.target()
    key, value = t.one(("lifetime", 1), ("lifetime", 1), ("lifetime", DAY_S), ("eol_at", "2020-01-01T00:00:00"))
    if t.one(True, False):
        t.call("set_metadata", *did, key, value, recursive=t.one(True, False))
    else:
        t.call("set_metadata_bulk", *did, {key: value, "purge_replicas": True}, recursive=t.one(True, False))


def declare_bad(t: Try) -> None:
    did = t.file()
    t.call("declare_bad_file_replicas", [row(did) | {"rse": t.copy(did)}], "x", force=t.one(True, False))


def declare_bad_did(t: Try) -> None:
    did = t.file()
    t.call("declare_bad_did_replicas", t.copy(did), [row(did)], "x")


def declare_bad_by_place(t: Try) -> None:
    did = t.file()
    place = f"file://{t.world.path(t.copy(did), did[1])}"
    t.call("declare_bad_file_replicas", [place], "x", force=t.one(True, False))


def declare_suspicious(t: Try) -> None:
    did = t.file()
    t.call("declare_suspicious_file_replicas", [f"file://{t.world.path(t.copy(did), did[1])}"], "x")


def declare_places(t: Try) -> None:
    did = t.file()
    state, end = t.one(("BAD", None), ("TEMPORARY_UNAVAILABLE", "2099-01-01T00:00:00"), ("SUSPICIOUS", None))
    t.call("add_bad_pfns", [f"file://{t.world.path(t.copy(did), did[1])}"], "x", state, end)


def set_state(t: Try) -> None:
    did, state = t.file(), t.one("A", "U", "B", "T", "D")
    rse = t.copy(did)
    if state != "A" or t.world.path(rse, did[1]).exists():
        t.call("update_replicas_states", rse, [row(did) | {"state": state}])


def delete_replicas(t: Try) -> None:
    did = t.file()
    t.call("delete_replicas", t.copy(did), [row(did)])


def set_tombstone(t: Try) -> None:
    did = t.file()
    t.call("set_tombstone", [row(did) | {"rse": t.copy(did)}])


def delete_unknown(t: Try) -> None:
    did = t.file()
    t.call("quarantine_replicas", [row(did) | {"path": did[1]}], rse=t.copy(did))


def detach(t: Try) -> None:
    t.call("detach_dids", *t.one(*t.machine.blocks, *t.machine.collections, *t.machine.directories), [row(t.file())])


def set_status(t: Try) -> None:
    t.call("set_status", *t.one(*t.machine.blocks, *t.machine.collections), open=t.one(True, False))


def make_collection(t: Try) -> None:
    did, kind = t.own(), t.one("DATASET", "DATASET", "CONTAINER")
    born = {"rules": [t.rule()]} if t.one(True, False) else {}
    born |= t.one({}, {}, {"lifetime": 1}, {"meta": {"lifetime": 1}})
    if t.call("add_did", *did, kind, **born):
        t.made(did)


def make_collection_with_files(t: Try) -> None:
    did = t.own()
    content = {"dids": [row(t.file())], "rules": [t.rule()]} | t.one({}, {"lifetime": 1})
    if t.call("add_dids", [row(did) | {"type": "DATASET"} | content]):
        t.made(did)


def attach(t: Try) -> None:
    t.call("attach_dids", *t.one(t.own(), *t.machine.collections, *t.machine.blocks), [row(t.target())])


def attach_many(t: Try) -> None:
    parents = [t.one(t.own(), *t.machine.collections, *t.machine.blocks) for _ in range(2)]
    t.call("attach_dids_to_dids", [row(parent) | {"dids": [row(t.target())]} for parent in parents])


def archive(t: Try) -> None:
    t.call("add_files_to_archive", *t.file(), [row(t.file())])


def register_copy(t: Try) -> None:
    rse, did = t.one(*RSES), t.file()
    t.call("add_replicas", rse, [t.real(rse, did)])


def attach_copy(t: Try) -> None:
    rse, did = t.one(*RSES), t.file()
    parent = t.one(t.own(), *t.machine.collections, *t.machine.blocks)
    t.call("attach_dids", *parent, [t.real(rse, did)], rse=rse)


def register_under_another_scope(t: Try) -> None:
    rse, did = t.one(*RSES), t.file()
    file = t.real(rse, did) | {"scope": t.scope}
    if t.one(True, False):
        t.call("add_replicas", rse, [file])
    else:
        t.call("attach_dids", *t.own(), [file], rse=rse)


def register_new(t: Try) -> None:
    """A file of the account's own, whose metadata may give it an end; what is raw is preserved from now on."""
    is_raw = t.actor in {Role.INGEST, "root", Role.ADMIN}
    scope = t.machine.scope if is_raw else t.scope
    did = (scope, f"/ctao/{scope}/{'DL0' if is_raw else 'DL3'}/{secrets.token_hex(6)}")
    rse, content = t.one(*RSES), secrets.token_bytes(100)
    t.world.write(rse, did[1], content)
    file = replica(did, content) | t.one({}, {"meta": {"lifetime": 1}}, {"meta": {"expired_at": "2020-01-01T00:00:00"}})
    if t.one(True, False):
        done = t.call("add_replicas", rse, [file])
    else:
        done = t.call("attach_dids", *t.one(t.own(), *t.machine.blocks, *t.machine.collections), [file], rse=rse)
    if done:
        t.machine.files[did] = content
        if is_raw:
            t.machine.preserved[did] = content


def delay_tombstones(t: Try) -> None:
    t.call("add_rse_attribute", t.one(*RSES), "tombstone_delay", "1")


CALLS = (
    *(add_rule, update_rule, chain_rules, end_rule, reduce_rule, move_rule, set_lifetime, declare_bad, declare_bad_did),
    *(declare_bad_by_place, declare_suspicious, declare_places, set_state, delete_replicas, set_tombstone),
    *(delete_unknown, detach, set_status, make_collection, make_collection_with_files, attach, attach_many, archive),
    *(register_copy, attach_copy, register_under_another_scope, register_new, delay_tombstones),
)


#: What some calls in a row are drawn from.
SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5)


class CopyMachine(RuleBasedStateMachine):
    """A small archive, from the first registration on."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.scope = f"m{secrets.token_hex(4)}"
        self.number = 0
        #: every file with its bytes; those that are preserved
        self.files: dict[tuple[str, str], bytes] = {}
        self.preserved = self.world.preserved[self.scope] = {}
        self.blocks: dict[tuple[str, str], None] = {}
        self.collections: dict[tuple[str, str], None] = {}
        self.directories: dict[tuple[str, str], None] = {}
        self.lost = ""
        self.world.calls[self.scope] = []

    def note(self, what: str) -> None:
        self.world.calls[self.scope].append(f"{time.strftime('%H:%M:%S')} {what}")

    def dids(self) -> list[tuple[str, str]]:
        return [*self.files, *self.blocks, *self.collections]

    def _block(self, scope: str, origin: str = "") -> tuple[str, str]:
        name = f"/ctao/{scope}/blocks/CTAO-North/2026/11/21/permanent-20261121T220000-{secrets.token_hex(4)}"
        return scope, f"{name}-{origin}" if origin else name

    def _open(self) -> tuple[str, str]:
        block = self._block(self.scope)
        self.world.catalogue.open_block(Did(*block), FirstRule(rse_expression=ONSITE))
        self.blocks[block] = None
        return block

    @initialize(seeds=SEEDS)
    def begin(self, seeds: list[int]) -> None:
        add_scope(self.world.instance.home.path, self.scope)
        self.open = self._open()
        self.take_in(seeds)

    @rule(seeds=SEEDS)
    def take_in(self, seeds: list[int]) -> None:
        """Register a file on site; if its block is closed, in another one."""
        content = secrets.token_bytes(100)
        self.number += 1
        file = registration(self.scope, self.number, size_bytes=100, adler32=f"{zlib.adler32(content):08x}")
        did = (self.scope, str(file.lfn))
        self.world.write(ONSITE, did[1], content)
        (is_open,) = self.world.database.execute(
            "select is_open from rucio.dids where scope = %s and name = %s", self.open
        ).fetchone() or (False,)
        if not is_open:
            self.open = self._open()
        self.world.catalogue.ensure_directories([file.lfn])
        self.directories[self.scope, did[1].rpartition("/")[0]] = None
        self.world.catalogue.register(Did(*self.open), ONSITE, [file])
        self.files[did] = self.preserved[did] = content
        self.world.in_blocks.add(did)
        self.note(f"registered {did} in {self.open}")
        self.try_out(seeds)

    @rule(seeds=SEEDS)
    def crash(self, seeds: list[int]) -> None:
        """The ingest starts again, knows nothing of its open block, and opens another one."""
        self.open = self._open()
        self.note(f"crashed; opened {self.open}")
        self.try_out(seeds)

    @rule(seeds=SEEDS)
    def close(self, seeds: list[int]) -> None:
        self.world.catalogue.close_block(Did(*self.open))
        self.note(f"closed {self.open}")
        self.try_out(seeds)

    @rule(rse=st.sampled_from([PIC, CSCS]), seeds=SEEDS)
    def copy(self, rse: str, seeds: list[int]) -> None:
        """Make the rule of a centre on each block: Rucio transfers what is on site."""
        for block in self.raw_blocks():
            self.world.catalogue.add_rule(Did(*block), rse_expression=rse)
        self.note(f"rules at {rse}")
        self.try_out(seeds)

    @rule(seeds=SEEDS)
    def release(self, seeds: list[int]) -> None:
        for block in self.raw_blocks():
            for found in self.world.root("list_did_rules", *block):
                if found["rse_expression"] == ONSITE and found["expires_at"] is None:
                    ingest = Try(self, Role.INGEST, random.Random())
                    ingest.call("update_replication_rule", found["id"], {"lifetime": -1})
        self.try_out(seeds)

    def raw_blocks(self) -> list[tuple[str, str]]:
        return [did for did in self.blocks if did[0] == self.scope]

    @rule(place=st.sampled_from([PIC, CSCS]), ends=st.booleans(), known_first=st.booleans(), seeds=SEEDS)
    def produce(self, place: str, *, ends: bool, known_first: bool, seeds: list[int]) -> None:
        """The workload management puts a product at a centre: into a block, or registered first and then into one."""
        if place == self.lost:  # nobody puts anything there
            return
        wms, scope, content = self.world.accounts[Role.WMS], self.world.scopes[Role.WMS], secrets.token_bytes(100)
        did, block = (scope, f"/ctao/{scope}/DL3/{secrets.token_hex(6)}"), self._block(scope, place[:-5])
        self.world.write(place, did[1], content)
        first = {"account": WMS, "copies": 1, "rse_expression": place, "lifetime": None}
        wms("add_did", *block, "DATASET", rules=[first])
        if known_first:
            wms("add_replicas", place, [replica(did, content)])
            self.files[did] = content
            if ends:
                Try(self, Role.WMS, random.Random()).call("add_replication_rule", [row(did)], 1, place, lifetime=1)
            try:
                wms("attach_dids", *block, [row(did)])
            except RefusedError as error:
                self.note(f"{did} stays out of {block}: {error}")
                return
        else:
            wms("attach_dids", *block, [replica(did, content)], rse=place)
        self.blocks[block] = None
        self.files[did] = self.preserved[did] = content
        self.world.in_blocks.add(did)
        self.note(f"put {did} at {place} in {block}")
        self.try_out(seeds)

    @rule(rse=st.sampled_from([PIC, CSCS]), seeds=SEEDS)
    def lose(self, rse: str, seeds: list[int]) -> None:
        """Mark a centre as lost, if that loses nothing: other rules hold copies elsewhere."""
        sound = (self.world.sound(file, content) for file, content in self.preserved.items())
        if not self.lost and all(any(held and where != rse for where, _, held in copies) for copies in sound):
            self.lost = rse
            self.world.root("add_rse_attribute", rse, "lost", "fire")
            self.note(f"lost {rse}")
        self.try_out(seeds)

    @rule(seeds=SEEDS)
    def try_out(self, seeds: list[int]) -> None:
        """Let accounts make calls."""
        for seed in seeds:
            chance = random.Random(seed)
            chance.choice(CALLS)(Try(self, chance.choice(["root", *Role]), chance))
            self.nothing_is_lost()

    @rule(seconds=st.sampled_from([0.5, 4]))
    def time_passes(self, seconds: float) -> None:
        time.sleep(seconds)
        self.note(f"{seconds} s pass")

    @invariant()
    def nothing_is_lost(self) -> None:
        assert (lost := self.world.violations(self.scope)) == [], "\n".join(lost)

    def teardown(self) -> None:
        if self.lost:
            self.world.root("delete_rse_attribute", self.lost, "lost")


def test_no_call_of_any_role_ends_the_last_sound_copy(
    world: World, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    examples = request.config.getoption("--copy-examples") or EXAMPLES
    machine = type("Machine", (CopyMachine,), {"world": world})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
        end = time.monotonic() + EVALUATED_S
        while (unheld := [name for scope in world.preserved for name in world.unheld(scope)]) and (
            time.monotonic() < end
        ):
            time.sleep(1)
        time.sleep(SETTLED_S)
        assert [lost for scope in world.preserved if (lost := world.violations(scope))] == []
        assert unheld == []
    finally:
        record_property("copies", json.dumps(_table(world)))


def _table(world: World) -> list[str]:
    """Return what was tried, as the table at the end of the run has it."""
    n_files = sum(map(len, world.preserved.values()))
    lines = [f"{len(world.preserved)} archives with {n_files} preserved files", "role  permitted  refused  failed"]
    for actor in world.accounts:
        counts = [
            sum(n for (who, _, answer), n in world.answers.items() if (who, answer) == (actor, kind))
            for kind in ("permitted", "refused", "failed")
        ]
        lines.append(f"{actor:<16}{counts[0]:>8}{counts[1]:>8}{counts[2]:>8}")
    return lines
