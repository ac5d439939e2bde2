"""The journal beside a dict: any operations in any order, with restarts in between."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from pathlib import Path

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ctao_bdms.inbox import Sighting, Stamp
from ctao_bdms.journal import FileState, Journal, Order, Rejected, Scanned, Tally, Waiting
from ctao_bdms.journal.observing import NO_FILE
from ctao_bdms.model import Did, FileFacts, Night

BLOCKS = [Did("acada", f"/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261122T010000-{n:08x}") for n in range(2)]
OPEN = {FileState.FOUND, FileState.SCANNED}
DONE = {FileState.REGISTERED, FileState.REPLICATED}

files = st.lists(st.integers(0, 5), min_size=1, unique=True)
stamps = st.builds(Stamp, st.just(1), st.integers(1, 3), st.just(10), st.just(7))


def path_of(number: int) -> Path:
    return Path(f"/data/{number}.fits.fz")


def night_of(number: int) -> Night:
    return Night(dt.date(2026, 11, 20 + number % 2))


def facts_of(number: int, stamp: Stamp) -> FileFacts:
    digests = {"adler32": f"{stamp.inode:08x}", "sha256": f"{stamp.inode:064x}"}
    return FileFacts(
        path=str(path_of(number)), size_bytes=stamp.size_bytes, modified_ns=stamp.modified_ns, digests=digests
    )


@attrs.define
class Known:
    """What the model knows of a file."""

    stamp: Stamp
    trigger_ns: int
    state: FileState = FileState.FOUND
    cause: str = ""
    block: Did | None = None
    facts: Stamp | None = None


class AnyNight(RuleBasedStateMachine):
    """Operations of a daemon that is restarted now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.time = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
        self.model: dict[int, Known] = {}
        self.fence = 0
        self.journal = self._opened()
        self.begun = self.journal.lacking_since

    def _opened(self) -> Journal:
        return Journal(self.folder / "journal.sqlite", by="daemon", now=self._now, fence=self.fence)

    def _now(self) -> dt.datetime:
        self.time += dt.timedelta(seconds=1)
        return self.time

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.fence += 1
        self.journal = self._opened()
        assert self.journal.lacking_since == self.begun

    @rule(numbers=files, stamp=stamps, trigger_ns=st.integers(1, 2))
    def observe(self, numbers: list[int], stamp: Stamp, trigger_ns: int) -> None:
        changed = 0
        for number in numbers:
            known = self.model.get(number)
            if known is not None and known.stamp == stamp:
                is_open = known.state in OPEN
                if is_open or (known.state is not FileState.WITHDRAWN and known.trigger_ns == trigger_ns):
                    continue
            changed += 1
            fresh = Known(stamp, trigger_ns)
            if known is not None:
                fresh.block = known.block
                fresh.facts = known.facts if known.stamp == stamp else None
            others = (each for other, each in self.model.items() if other != number)
            if fresh.facts is not None or any(each.facts == stamp and each.stamp == stamp for each in others):
                fresh.facts, fresh.state = stamp, FileState.SCANNED
            self.model[number] = fresh
        observed = self.journal.observe(
            Sighting(path=path_of(n), stamp=stamp, trigger_ns=trigger_ns, night=night_of(n)) for n in numbers
        )
        assert observed.new + observed.again == changed
        assert observed.known == len(numbers) - changed

    @rule(numbers=files, stamp=stamps)
    def scan(self, numbers: list[int], stamp: Stamp) -> None:
        for number in numbers:
            known = self.model.get(number)
            if known is not None and known.state in OPEN:
                known.stamp = known.facts = stamp
                known.state, known.cause = FileState.SCANNED, ""
        self.journal.scanned(Scanned(path=path_of(n), stamp=stamp, facts=facts_of(n, stamp)) for n in numbers)

    @rule(numbers=files, block=st.none() | st.sampled_from(BLOCKS))
    def register(self, numbers: list[int], block: Did | None) -> None:
        for number in numbers:
            known = self.model.get(number)
            if known is not None and known.state not in DONE:
                known.state, known.cause, known.block = FileState.REGISTERED, "", block or known.block
        self.journal.registered(map(path_of, numbers), block)

    @rule(block=st.sampled_from(BLOCKS))
    def replicate(self, block: Did) -> None:
        for known in self.model.values():
            if known.block == block and known.state is FileState.REGISTERED:
                known.state, known.cause = FileState.REPLICATED, ""
        self.journal.replicated([entry.path for entry in self.journal.entries(block=block)])

    @rule(numbers=files)
    def quarantine(self, numbers: list[int]) -> None:
        for number in numbers:
            known = self.model.get(number)
            if known is not None and known.state is not FileState.QUARANTINED:
                known.state, known.cause, known.facts = FileState.QUARANTINED, "", None
        self.journal.quarantined(Rejected(path=path_of(n), why="bad") for n in numbers)

    @rule(numbers=files)
    def withdraw(self, numbers: list[int]) -> None:
        for number in numbers:
            known = self.model.get(number)
            if known is not None and known.state in OPEN:
                known.state, known.cause = FileState.WITHDRAWN, ""
        self.journal.withdrawn(map(path_of, numbers))

    @rule(numbers=files, cause=st.sampled_from(["catalogue", "storage"]))
    def wait(self, numbers: list[int], cause: str) -> None:
        for number in numbers:
            if number in self.model:
                self.model[number].cause = cause
        self.journal.waits(Waiting(path=path_of(n), cause=cause, why="") for n in numbers)

    @rule(cause=st.sampled_from(["catalogue", "storage"]))
    def resume(self, cause: str) -> None:
        waiting = [known for known in self.model.values() if known.cause == cause]
        for known in waiting:
            known.cause = ""
        assert self.journal.resume(cause) == len(waiting)

    @rule()
    def compact(self) -> None:
        now = self._now()
        nights = {night_of(n) for n, known in self.model.items() if known.state in {*OPEN, FileState.REGISTERED}}
        for number, known in self.model.items():
            if known.state is FileState.REPLICATED and night_of(number) not in nights:
                known.facts = None
        self.journal.compact(thin_before=now)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        entries = {int(entry.path.name[0]): entry for entry in self.journal.entries()}
        assert entries.keys() == self.model.keys()
        for number, known in self.model.items():
            entry = entries[number]
            assert (entry.state, entry.cause, entry.block) == (known.state, known.cause, known.block)
            assert entry.stamp == known.stamp
            facts = self.journal.facts(entry.path)
            assert (facts is None) == (known.facts is None) == (not entry.has_facts)
            assert facts is None or known.facts is None or facts.digests == facts_of(number, known.facts).digests

    @invariant()
    def tallies_agree(self) -> None:
        for state, tally in self.journal.tallies().items():
            sizes = [known.stamp.size_bytes for known in self.model.values() if known.state is state]
            assert tally == Tally(len(sizes), sum(sizes))
        causes = {known.cause for known in self.model.values()} - {"", NO_FILE}
        assert self.journal.waiting().keys() == causes

    @invariant()
    def what_is_due_is_what_does_not_wait(self) -> None:
        for state in OPEN:
            ready = {n for n, known in self.model.items() if known.state is state and not known.cause}
            for order in Order:
                due = self.journal.due(state, 10, now=self.time, order=order)
                assert sorted(int(entry.path.name[0]) for entry in due) == sorted(ready)


TestAnyNight = AnyNight.TestCase
TestAnyNight.settings = settings(max_examples=30, stateful_step_count=25)
