"""The loop continues while files are registered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.unit.daemon_stages.pending import let_archive_answer, register_without_answer

from ctao_bdms.causes import Cause
from ctao_bdms.errors import (
    UnreachableError,
)
from ctao_bdms.testing.contract import NIGHT
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from tests.house import House


def test_loop_continues_while_files_are_registered(beside: House) -> None:
    register_without_answer(beside)
    assert beside.register.due_in_s() == float("inf")
    assert beside.register.has_due
    more = write_dl0(night_specs(5, megabytes=0.02, night=NIGHT)[4], beside.root)
    beside.turn(3)
    assert beside.states() == {"scanned": 5}
    let_archive_answer(beside)
    beside.turn(1)
    assert beside.states() == {"registered": 4, "scanned": 1}
    beside.turn(3)
    beside.archive.may_answer.set()
    beside.register.finish()
    assert beside.register.close(everything=True)
    assert beside.states() == {"registered": 5}
    assert not os.path.lexists(more.trigger)


def test_changes_during_registration_are_written_afterwards(beside: House) -> None:
    register_without_answer(beside)
    entries = {entry.path.name: entry for entry in beside.journal.entries()}
    gone, again, *_ = entries.values()
    assert gone.trigger is not None
    assert again.trigger is not None
    gone.trigger.unlink()
    again.path.write_bytes(b"other")
    again.trigger.unlink()
    again.trigger.touch()
    beside.turn(3)
    assert beside.states() == {"scanned": 4}
    let_archive_answer(beside)
    beside.turn(4)
    events = [event.event for event in beside.journal.events(gone.path)]
    assert "withdrawn" not in events
    beside.register.finish()
    assert beside.states() == {"registered": 3, "quarantined": 1}


def test_archive_that_fails_beside_the_loop_is_probed(beside: House) -> None:
    beside.archive.error = UnreachableError("down")
    beside.write()
    for _ in range(20):
        beside.turn()
    assert Cause.CATALOGUE in beside.circuits.open
    assert beside.states() == {"scanned": 4}
    beside.archive.error = None
    for _ in range(200):
        beside.turn()
    beside.register.finish()
    assert beside.states() == {"registered": 4}
