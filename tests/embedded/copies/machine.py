"""The life of copies in a small archive, while accounts of every role make calls that could end them."""

from __future__ import annotations

import random
import secrets
import time

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ctao_bdms.embedded.namespace import add_scope
from ctao_bdms.embedded.topology import WMS
from ctao_bdms.errors import ForbiddenError
from ctao_bdms.model import Did
from ctao_rucio_policy.roles import Role
from tests.embedded.accounts import RefusedError
from tests.embedded.copies.calls import CALLS, Turn
from tests.embedded.copies.small_archive import SmallArchive, block_did
from tests.embedded.copies.world import CSCS, ONSITE, PIC, World, replica, row

#: Each seed chooses one call of one account.
SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5)


class CopyMachine(RuleBasedStateMachine):
    """A small archive, from the first registration on."""

    world: World
    #: The archives of all examples.
    archives: list[SmallArchive]

    def __init__(self) -> None:
        super().__init__()
        self.archive = SmallArchive(self.world)
        self.archives.append(self.archive)

    @initialize(seeds=SEEDS)
    def begin(self, seeds: list[int]) -> None:
        add_scope(self.world.instance.home.path, self.archive.scope)
        self.archive.begin_block()
        self.take_in(seeds)

    @rule(seeds=SEEDS)
    def take_in(self, seeds: list[int]) -> None:
        self.archive.register_on_site()
        self.try_out(seeds)

    @rule(seeds=SEEDS)
    def crash(self, seeds: list[int]) -> None:
        """Restart the ingest: it knows nothing of its open block, and opens another one."""
        self.archive.begin_block()
        self.archive.note(f"crashed; opened {self.archive.open_block}")
        self.try_out(seeds)

    @rule(seeds=SEEDS)
    def close(self, seeds: list[int]) -> None:
        self.world.catalogue.close_block(Did(*self.archive.open_block))
        self.archive.note(f"closed {self.archive.open_block}")
        self.try_out(seeds)

    @rule(rse=st.sampled_from([PIC, CSCS]), seeds=SEEDS)
    def copy(self, rse: str, seeds: list[int]) -> None:
        """Make the rule of a centre on each block: Rucio transfers what is on site."""
        for block in self.archive.raw_blocks():
            try:
                self.world.catalogue.add_rule(Did(*block), rse_expression=rse)
            except ForbiddenError as error:  # while Rucio replaces a bad copy
                self.archive.note(f"no rule at {rse} on {block}: {error}")
        self.archive.note(f"rules at {rse}")
        self.try_out(seeds)

    @rule(seeds=SEEDS)
    def release(self, seeds: list[int]) -> None:
        for block in self.archive.raw_blocks():
            for found in self.world.root("list_did_rules", *block):
                if found["rse_expression"] == ONSITE and found["expires_at"] is None:
                    ingest = Turn(self.archive, Role.INGEST, random.Random())
                    ingest.call("update_replication_rule", found["id"], {"lifetime": -1})
        self.try_out(seeds)

    @rule(place=st.sampled_from([PIC, CSCS]), ends=st.booleans(), known_first=st.booleans(), seeds=SEEDS)
    def produce(self, place: str, *, ends: bool, known_first: bool, seeds: list[int]) -> None:
        """Put a product at a centre as the workload management does: straight into a block, or registered first."""
        if place == self.archive.lost:  # nobody puts anything there
            return
        wms, scope, content = self.world.accounts[Role.WMS], self.world.scopes[Role.WMS], secrets.token_bytes(100)
        did, block = (scope, f"/ctao/{scope}/DL3/{secrets.token_hex(6)}"), block_did(scope, place[:-5])
        self.world.write(place, did[1], content)
        first = {"account": WMS, "copies": 1, "rse_expression": place, "lifetime": None}
        wms("add_did", *block, "DATASET", rules=[first])
        if known_first:
            wms("add_replicas", place, [replica(did, content)])
            self.archive.files[did] = content
            if ends:
                Turn(self.archive, Role.WMS, random.Random()).call(
                    "add_replication_rule", [row(did)], 1, place, lifetime=1
                )
            try:
                wms("attach_dids", *block, [row(did)])
            except RefusedError as error:
                self.archive.note(f"{did} stays out of {block}: {error}")
                return
        else:
            wms("attach_dids", *block, [replica(did, content)], rse=place)
        self.archive.blocks[block] = None
        self.archive.preserve(did, content)
        self.archive.note(f"put {did} at {place} in {block}")
        self.try_out(seeds)

    @rule(rse=st.sampled_from([PIC, CSCS]), seeds=SEEDS)
    def lose(self, rse: str, seeds: list[int]) -> None:
        """Mark a centre as lost, if that loses nothing: other rules hold copies elsewhere."""
        sound = (self.world.sound(file, content) for file, content in self.archive.preserved.items())
        if not self.archive.lost and all(any(held and where != rse for where, _, held in copies) for copies in sound):
            self.archive.lost = rse
            self.world.root("add_rse_attribute", rse, "lost", "fire")
            self.archive.note(f"lost {rse}")
        self.try_out(seeds)

    @rule(seeds=SEEDS)
    def try_out(self, seeds: list[int]) -> None:
        """Let accounts make calls, permitted or not."""
        for seed in seeds:
            chance = random.Random(seed)
            chance.choice(CALLS)(Turn(self.archive, chance.choice(["root", *Role]), chance))
            self.nothing_is_lost()

    @rule(seconds=st.sampled_from([0.5, 4]))
    def time_passes(self, seconds: float) -> None:
        time.sleep(seconds)
        self.archive.note(f"{seconds} s pass")

    @invariant()
    def nothing_is_lost(self) -> None:
        assert (lost := self.archive.violations()) == [], "\n".join(lost)

    def teardown(self) -> None:
        if self.archive.lost:
            self.world.root("delete_rse_attribute", self.archive.lost, "lost")
