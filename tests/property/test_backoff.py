"""Back-off and circuits: whatever happens in whatever order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ctao_bdms.causes import Cause
from ctao_bdms.daemon.backoff import Backoff, Circuits, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = [cause for cause in Cause if cause.is_shared]
FILE_WORD = [cause for cause in Cause if not cause.is_shared]


@given(failures=st.integers(1, 10**6), jitter=st.floats(0, 1), first=st.floats(0.01, 100), cap=st.floats(0.01, 1000))
def test_waits_are_bounded(failures: int, jitter: float, first: float, cap: float) -> None:
    delay = Backoff(first_s=first, cap_s=cap).delay_s(failures, jitter)
    assert 0 < delay <= cap
    assert delay <= max(first * 2.0 ** min(failures - 1, 60), first / 10)


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(first_s=1, cap_s=60)
    assert [backoff.delay_s(n, 1.0) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def _clocked(jitter: Callable[[], float] = lambda: 1.0) -> tuple[Circuits, list[float]]:
    clock = [0.0]
    return Circuits(Backoff, monotonic=lambda: clock[0], jitter=jitter), clock


def test_70_000_files_cost_one_probe_at_a_time() -> None:
    circuits, clock = _clocked(random.Random(1).random)
    flying = [circuits.admit([Cause.CATALOGUE]) for _ in range(500)]
    for ticket in flying:
        assert ticket is not None
        circuits.settle(ticket, Cause.CATALOGUE)
    assert circuits.failures(Cause.CATALOGUE) == 1, "they all failed of the same thing"
    probes = 0
    while clock[0] < 3600:
        clock[0] += 1
        tickets = [ticket for _ in range(70) if (ticket := circuits.admit([Cause.CATALOGUE]))]
        assert len(tickets) <= 1
        for ticket in tickets:
            circuits.settle(ticket, Cause.CATALOGUE)
        probes += len(tickets)
    assert 60 < probes < 240
    clock[0] += 60
    ticket = circuits.admit([Cause.CATALOGUE])
    assert ticket == Ticket(frozenset({Cause.CATALOGUE}))
    assert circuits.settle(ticket) == {Cause.CATALOGUE}
    assert circuits.admit([Cause.CATALOGUE]) == Ticket()


def test_causes_do_not_wait_for_each_other() -> None:
    circuits, _ = _clocked()
    ticket = circuits.admit([Cause.CATALOGUE])
    assert ticket is not None
    circuits.settle(ticket, Cause.CATALOGUE)
    assert circuits.admit([Cause.STORAGE]) == Ticket()
    assert circuits.admit([Cause.STORAGE, Cause.CATALOGUE]) is None
    assert circuits.next_probe_in_s() == 1.0


def test_a_probe_that_fails_of_something_else_says_nothing() -> None:
    circuits, clock = _clocked()
    circuits.settle(Ticket(), Cause.CATALOGUE)
    clock[0] = 2
    ticket = circuits.admit([Cause.CATALOGUE, Cause.CREDENTIALS])
    assert ticket is not None
    assert circuits.settle(ticket, Cause.CREDENTIALS) == frozenset()
    assert circuits.open == {Cause.CATALOGUE, Cause.CREDENTIALS}
    assert circuits.failures(Cause.CATALOGUE) == 1
    assert circuits.admit([Cause.CATALOGUE]) is not None


def test_a_late_success_does_not_end_an_outage() -> None:
    circuits, _ = _clocked()
    early = circuits.admit([Cause.STORAGE])
    assert early is not None
    circuits.settle(Ticket(), Cause.STORAGE)
    assert circuits.settle(early) == frozenset()
    assert circuits.open == {Cause.STORAGE}


def test_failure_of_one_file_opens_no_circuit() -> None:
    circuits, _ = _clocked()
    for cause in FILE_WORD:
        circuits.settle(Ticket(), cause)
    assert not circuits.open


class AnyOutage(RuleBasedStateMachine):
    """Tickets taken and given back in any order, while causes fail and heal."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.jitter = random.Random(0)
        self.circuits = Circuits(Backoff, monotonic=lambda: self.now, jitter=self.jitter.random)
        self.out: list[Ticket] = []

    @rule(seconds=st.floats(0.01, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(causes=st.sets(st.sampled_from(SHARED), min_size=1))
    def ask(self, causes: set[Cause]) -> None:
        blocked = causes & self.circuits.open
        ticket = self.circuits.admit(causes)
        if ticket is not None:
            assert ticket.probes == blocked
            self.out.append(ticket)
        else:
            assert blocked

    @precondition(lambda self: self.out)
    @rule(data=st.data(), failure=st.none() | st.sampled_from(list(Cause)))
    def settle(self, data: st.DataObject, failure: Cause | None) -> None:
        ticket = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        closed = self.circuits.settle(ticket, failure)
        assert closed == (ticket.probes if failure is None else frozenset())
        assert not closed & self.circuits.open
        if failure is not None and failure.is_shared:
            assert failure in self.circuits.open

    @invariant()
    def no_cause_is_probed_twice(self) -> None:
        probed = [cause for ticket in self.out for cause in ticket.probes]
        assert len(probed) == len(set(probed))

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        wait = self.circuits.next_probe_in_s()
        assert wait is None or 0 <= wait <= 60
        probed = {cause for ticket in self.out for cause in ticket.probes}
        assert wait is not None or self.circuits.open <= probed


TestAnyOutage = AnyOutage.TestCase
TestAnyOutage.settings = settings(max_examples=50, stateful_step_count=40)
