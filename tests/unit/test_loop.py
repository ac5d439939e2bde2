"""The loop of the daemon: turns, waits, probes, and no busy loop."""

from __future__ import annotations

import datetime as dt
import errno
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.house import Clock, context_of

from ctao_bdms.causes import Cause
from ctao_bdms.daemon.backoff import Backoff, Circuits
from ctao_bdms.daemon.clocks import Clocks
from ctao_bdms.daemon.config.settings import Settings, Storage
from ctao_bdms.daemon.face.notify import Notifier
from ctao_bdms.daemon.heartbeat import Heartbeat
from ctao_bdms.daemon.holder import Holder
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.daemon.loop import Loop
from ctao_bdms.errors import ForbiddenError, JournalLostError, JournalUnavailableError, LeaseLostError, UnreachableError
from ctao_bdms.inbox import Sighting, Stamp
from ctao_bdms.journal import Journal, Waiting
from ctao_bdms.model import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = dt.datetime(2026, 11, 21, 23, tzinfo=dt.UTC)
SETTINGS = Settings(storage=Storage(root=Path("/storage"), rse="CTAO-NORTH-ONSITE", site=Site.NORTH))


@attrs.define(eq=False)
class Part:
    """A stage that is due when it is told, and meets what it is told."""

    name: str
    causes: frozenset[Cause]
    error: Exception | None = None
    due_s: float = 0.0
    steps: list[bool] = attrs.Factory(list)

    def due_in_s(self) -> float:
        return self.due_s

    def step(self, *, probe: bool) -> None:
        self.steps.append(probe)
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuits(clock: Clock) -> Circuits:
    return Circuits(lambda: Backoff(first_s=1, cap_s=60), monotonic=clock, jitter=lambda: 1.0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite", by="test", now=lambda: NOW) as journal:
        yield journal


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    with Lease.claim(tmp_path / "lease", beat_every_s=0) as lease:
        yield lease


def loop_of(*stages: Part, lease: Lease, circuits: Circuits, journal: Journal, clocks: Clocks | None = None) -> Loop:
    context = context_of(lambda: SETTINGS, journal, clocks or Clocks())
    heartbeat = Heartbeat(context, lease, Notifier())
    return Loop(context, stages, circuits=circuits, heartbeat=heartbeat, on_turn=lambda: None)


def stages(*names: str, causes: frozenset[Cause] = frozenset({Cause.CATALOGUE, Cause.JOURNAL})) -> list[Part]:
    return [Part(name, causes) for name in names]


def test_one_probe_a_time_by_the_stage_that_met_it(
    clock: Clock, circuits: Circuits, journal: Journal, lease: Lease
) -> None:
    one, two = stages("one", "two")
    loop = loop_of(one, two, lease=lease, circuits=circuits, journal=journal)
    two.error = UnreachableError("it does not answer")
    loop.turn()
    assert (one.steps, two.steps) == ([False], [False])
    for _ in range(50):
        loop.turn()
    assert (one.steps, two.steps) == ([False], [False]), "both wait"
    assert loop._sleep_s() == 1.0
    clock.now_s = 1.0
    for _ in range(50):
        loop.turn()
    assert (one.steps, two.steps) == ([False], [False, True]), "one probe, of the one that met it"
    clock.now_s = 3.0
    two.due_s = 5.0
    one.error = UnreachableError("still")
    loop.turn()
    assert one.steps == [False, True], "the one that met it has nothing to do: another one probes"
    clock.now_s = 7.0
    one.error = two.error = None
    two.due_s = 0.0
    loop.turn()
    assert not circuits.open
    loop.turn()
    assert one.steps[-1] is two.steps[-1] is False


def test_waiting_files_resume_after_the_outage(
    clock: Clock, circuits: Circuits, journal: Journal, lease: Lease, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    journal.observe([Sighting(path=path, stamp=Stamp(1, 2, 3, 4))])
    journal.waits([Waiting(path=path, cause=Cause.CATALOGUE, why="down")])
    (one,) = stages("one")
    one.error = UnreachableError("down")
    loop = loop_of(one, lease=lease, circuits=circuits, journal=journal)
    loop.turn()
    assert journal.waiting().keys() == {Cause.CATALOGUE}
    one.error, clock.now_s = None, 1.0
    loop.turn()
    assert not journal.waiting()


def test_a_stage_that_fails_does_not_stop_the_others(circuits: Circuits, journal: Journal, lease: Lease) -> None:
    bad = Part("bad", frozenset({Cause.CATALOGUE, Cause.JOURNAL}), error=UnreachableError("down"))
    good = Part("good", frozenset({Cause.STORAGE, Cause.JOURNAL}))
    loop = loop_of(bad, good, lease=lease, circuits=circuits, journal=journal)
    for _ in range(5):
        loop.turn()
    assert (len(bad.steps), len(good.steps)) == (1, 5)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ForbiddenError("no right"), Cause.CATALOGUE),
        (OSError(errno.EIO, "I/O error"), Cause.JOURNAL),
        (OSError(errno.EMFILE, "too many open files"), Cause.JOURNAL),
        (JournalUnavailableError("/j", "full"), Cause.JOURNAL),
    ],
)
def test_any_failure_is_waited_for(
    clock: Clock, circuits: Circuits, journal: Journal, lease: Lease, error: Exception, cause: Cause
) -> None:
    """A failure that is none of the stage's own would be tried again at once, and for ever."""
    (one,) = stages("one")
    one.error = error
    loop = loop_of(one, lease=lease, circuits=circuits, journal=journal)
    for _ in range(20):
        loop.turn()
    assert (len(one.steps), set(circuits.open)) == (1, {cause})
    assert loop._sleep_s() > 0
    one.error, clock.now_s = None, 2.0
    loop.turn()
    assert not circuits.open


def test_two_outages_at_once_do_not_wait_for_each_other(
    clock: Clock, circuits: Circuits, journal: Journal, lease: Lease
) -> None:
    one, two = stages("one", "two")
    loop = loop_of(one, two, lease=lease, circuits=circuits, journal=journal)
    one.error, two.due_s = UnreachableError("down"), 1.0
    loop.turn()
    one.due_s, two.due_s = 1.0, 0.0
    two.error = JournalUnavailableError("/j", "full")
    clock.now_s = 1.0
    loop.turn()
    assert set(circuits.open) == {Cause.CATALOGUE, Cause.JOURNAL}
    one.due_s, one.error, two.error = 0.0, None, None
    clock.now_s = 100.0
    for _ in range(3):
        loop.turn()
    assert not circuits.open


def test_the_loop_does_not_spin_while_a_probe_is_under_way(
    clock: Clock, circuits: Circuits, journal: Journal, lease: Lease
) -> None:
    (one,) = stages("one", causes=frozenset({Cause.STORAGE, Cause.JOURNAL}))
    loop = loop_of(one, lease=lease, circuits=circuits, journal=journal)
    ticket = circuits.admit({Cause.STORAGE})
    assert ticket is not None
    circuits.settle(ticket, Cause.STORAGE)
    clock.now_s = 2.0
    probe = circuits.admit({Cause.STORAGE})  # a scan, in another process
    assert probe is not None
    assert probe.probes == {Cause.STORAGE}
    loop.turn()
    assert one.steps == []
    assert loop._sleep_s() == 1.0


def test_it_sleeps_until_something_is_due(circuits: Circuits, journal: Journal, lease: Lease) -> None:
    one, two = stages("one", "two")
    loop = loop_of(one, two, lease=lease, circuits=circuits, journal=journal)
    one.due_s, two.due_s = 0.25, 30.0
    assert loop._sleep_s() == 0.25
    one.due_s = float("inf")
    assert loop._sleep_s() == 1.0, "the lease wants its beat"
    one.due_s = -3.0
    assert loop._sleep_s() == 0.0


def test_stop_ends_the_loop_after_the_turn(circuits: Circuits, journal: Journal, lease: Lease) -> None:
    (one,) = stages("one")
    loop = loop_of(one, lease=lease, circuits=circuits, journal=journal)
    loop.stop()
    assert loop.is_stopping
    loop.run()
    assert one.steps == []


def test_a_lost_lease_ends_it_at_once(
    circuits: Circuits, journal: Journal, lease: Lease, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (one,) = stages("one")
    loop = loop_of(one, lease=lease, circuits=circuits, journal=journal)
    loop.turn()
    other = Lease(tmp_path / "lease", lease.token + 1, Holder.this_process(), 5.0, lambda: 0.0)
    assert other._take()
    with caplog.at_level(logging.ERROR), pytest.raises(LeaseLostError):
        loop.turn()
    assert len(one.steps) == 1
    assert not caplog.records


def test_a_lost_journal_ends_it_at_once(
    circuits: Circuits, journal: Journal, lease: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    (one,) = stages("one")
    loop = loop_of(one, lease=lease, circuits=circuits, journal=journal)
    loop.turn()
    one.error = JournalLostError(journal.path)
    one.due_s = 0.0
    with caplog.at_level(logging.ERROR), pytest.raises(JournalLostError):
        loop.turn()
    assert not caplog.records


def test_failed_lease_write_is_logged_once(
    journal: Journal, lease: Lease, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heartbeat = Heartbeat(context_of(lambda: SETTINGS, journal, Clocks()), lease, Notifier())
    away = tmp_path / "away"
    for outages in (1, 2):
        lease.folder.rename(away)
        for _ in range(3):
            heartbeat.beat()
        assert caplog.text.count("the lease cannot be written") == outages
        away.rename(lease.folder)
        heartbeat.beat()


@pytest.mark.parametrize("error", [OverflowError("too large"), RecursionError("deep"), AssertionError("never")])
def test_stage_over_which_the_software_fails_waits_alone(
    clock: Clock,
    circuits: Circuits,
    journal: Journal,
    lease: Lease,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    one, two = stages("one", "two")
    loop = loop_of(one, two, lease=lease, circuits=circuits, journal=journal, clocks=clock.clocks)
    metrics = loop._metrics
    one.error = error
    for _ in range(100):
        loop.turn()
        clock.now_s += 1
    assert len(two.steps) == 100
    assert 5 <= len(one.steps) <= 10, "100 s with doubling waits"
    assert not circuits.open
    assert b'circuit_open{cause="failed"} 1.0' in metrics.exposition()
    assert sum(record.exc_info is not None for record in caplog.records) == 1
    one.error = None
    clock.now_s += 60
    loop.turn()
    loop.turn()
    assert b'circuit_open{cause="failed"} 0.0' in metrics.exposition()
    assert len(two.steps) == 102


def test_stage_that_cannot_say_when_it_is_due_waits_alone(circuits: Circuits, journal: Journal, lease: Lease) -> None:
    class Mute(Part):
        def due_in_s(self) -> float:
            raise OverflowError("too large")

    one, two = Mute("one", frozenset({Cause.JOURNAL})), Part("two", frozenset({Cause.JOURNAL}))
    loop = loop_of(one, two, lease=lease, circuits=circuits, journal=journal)
    loop.turn()
    assert (len(one.steps), len(two.steps)) == (0, 1)
    assert loop._sleep_s() <= 1
