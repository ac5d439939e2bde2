"""A daemon that stops finishes its work, or leaves it to the next one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs
from tests.unit.daemon_stages.pending import register_without_answer

from ctao_bdms.daemon.draining import drain
from ctao_bdms.errors import (
    UnreachableError,
)

if TYPE_CHECKING:
    import pytest
    from tests.house import House


def test_draining_daemon_starts_no_scan(house: House) -> None:
    house.turn(2)
    house.scan.drain()
    house.write(2)
    house.turn(5)
    assert house.states() == {"found": 2}
    assert house.scan.running == 0
    assert not house.register.has_due


def finish(house: House, limit_s: float = 10) -> None:
    """Stop the daemon as a signal does."""

    def pause(seconds: float) -> None:
        house.turn(seconds=seconds)

    drain(house.daemon, limit_s=limit_s, clocks=attrs.evolve(house.clock.clocks, sleep=pause))


def test_stopping_daemon_finishes_its_work(house: House) -> None:
    house.write(3)
    house.turn(2)
    assert house.states() == {"found": 3}
    finish(house)
    assert house.states() == {"registered": 3}
    (block,) = house.archive.blocks("acada", "*")
    assert (block.is_open, block.n_files) == (False, 4), "three files and their manifest"


def test_stopping_daemon_does_not_wait_for_the_archive(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.write(2)
    house.turn(6)
    house.write(4)
    house.archive.error = UnreachableError("it does not answer")
    begin_s = house.clock.now_s
    finish(house)
    assert house.clock.now_s - begin_s < 12
    assert "open blocks are left to the next daemon: it does not answer" in caplog.text


def test_stopping_daemon_closes_its_blocks_without_its_journal(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.write(2)
    house.turn(6)
    house.journal.is_broken = True
    finish(house)
    assert "files at hand are left to the next daemon" in caplog.text
    assert not any(block.is_open for block in house.archive.blocks("acada", "*"))


def test_stopping_daemon_waits_for_its_batch_if_rules_fail(beside: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is closed next: nothing may be registered under it any more."""

    def fail() -> None:
        raise UnreachableError("the rules cannot be asked for")

    register_without_answer(beside)
    monkeypatch.setattr(beside.replicate, "close_all", fail)
    threading.Timer(0.5, beside.archive.may_answer.set).start()
    finish(beside, limit_s=0)
    assert not beside.register.busy
    assert beside.states() == {"registered": 4}
