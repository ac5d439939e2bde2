"""A restarted daemon finishes the work of its predecessor, with or without its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.errors import (
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.house import House


def test_restarted_daemon_scans_nothing_again_and_finishes_the_work(make: Callable[[], House]) -> None:
    first = make()
    files = first.write(3)
    first.turn(6)
    assert [block.is_open for block in first.archive.blocks("acada", "*")] == [True]
    first.journal.close()
    second = make()
    second.archive = first.archive
    for file in files:
        file.trigger.symlink_to(file.path.name)
    second.scans.raised = {file.path.name: AssertionError("it was read again") for file in files}
    second.turn(6)
    assert second.states() == {"registered": 3}
    assert [block.is_open for block in second.archive.blocks("acada", "*")] == [False]
    for _ in range(2):
        second.archive.transfer()
        second.turn(3)
    assert second.states() == {"replicated": 3}, "files that were known already are followed, too"


def test_work_is_finished_after_a_restart_without_a_new_file(make: Callable[[], House]) -> None:
    """The clock of the second daemon is behind that of the server, which dates the block."""
    first = make()
    first.write(3)
    first.turn(6)
    first.journal.close()
    second = make()
    second.archive = first.archive
    for _ in range(3):
        second.turn(2)
        second.archive.transfer()
    assert second.states() == {"replicated": 3}


def test_lost_journal_is_filled_from_the_archive(make: Callable[[], House], tmp_path: Path) -> None:
    first = make()
    first.write(3)
    first.turn(6)
    first.journal.close()
    for piece in tmp_path.glob("journal.sqlite*"):
        piece.unlink()
    second = make()
    second.archive = first.archive
    second.write(4)
    second.turn(6)
    assert second.states() == {"registered": 4}
    for _ in range(4):  # the server's clock stands still: what is fulfilled is found when everything is looked at
        second.turn(2, seconds=61)
        second.archive.transfer()
    assert second.states() == {"replicated": 4}


def test_lost_journal_is_filled_after_starts_without_an_archive(make: Callable[[], House], tmp_path: Path) -> None:
    """The journal was lost when the files were registered, and before their block was closed and got rules."""
    first = make()
    first.write(3)
    first.turn(6)
    first.journal.close()
    for piece in tmp_path.glob("journal.sqlite*"):
        piece.unlink()
    for _ in range(2):
        beginning = make()
        beginning.archive = first.archive
        beginning.archive.error = UnreachableError("down")
        beginning.turn(3)
        assert beginning.states() == {}
        beginning.journal.close()
    later = make()
    later.clock.now_s = 3 * 86_400.0
    later.archive = first.archive
    later.archive.error = None
    later.turn(6)
    assert later.states() == {"registered": 3}
    assert [block.is_open for block in later.archive.blocks("acada", "*")] == [False]
    for _ in range(4):
        later.turn(2, seconds=61)
        later.archive.transfer()
    assert later.states() == {"replicated": 3}
    assert later.journal.lacking_since is None
