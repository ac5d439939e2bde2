"""Values that each process makes for itself, and files that are open when a process forks."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import pickle
import threading
from typing import TYPE_CHECKING

import pytest
from tests.unit.retrieve.archive import Archive

from ctao_bdms.access import Health, open_file
from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import JournalError
from ctao_bdms.journal import Journal, JournalReader
from ctao_bdms.processes import PerProcess, this_process
from ctao_bdms.replication import Policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# From Python 3.12 on a fork of a process with threads is warned of, rightly; users do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
FORK = multiprocessing.get_context("fork")


def in_a_fork(call: Callable[[], object]) -> object:
    """Return what `call` returns in the child of a fork."""
    answers = FORK.SimpleQueue()
    child = FORK.Process(target=lambda: answers.put(call()))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    return answers.get()


def test_forked_child_is_another_process() -> None:
    mark = this_process()
    assert this_process() is mark
    assert in_a_fork(lambda: this_process() is mark) is False
    assert in_a_fork(lambda: this_process() is this_process()) is True


def test_forked_child_makes_its_own_value() -> None:
    made: PerProcess[list[int]] = PerProcess(lambda: [os.getpid()])
    assert made.get() is made.get()
    made.get().append(0)
    assert len(in_a_fork(made.get)) == 1  # type: ignore[arg-type]
    assert made.get() == [os.getpid(), 0]


def test_lock_held_by_a_thread_does_not_stop_a_forked_child() -> None:
    lock = PerProcess(threading.Lock)
    with lock.get():
        assert in_a_fork(lambda: lock.get().acquire(timeout=5)) is True


def test_pickle_does_not_carry_the_value() -> None:
    lock = PerProcess(threading.Lock)
    lock.get().acquire()
    copy = pickle.loads(pickle.dumps(lock))
    assert not copy.get().locked()


@pytest.mark.parametrize("is_used", [True, False])
def test_archive_can_be_pickled_after_a_storage_failed(is_used: bool) -> None:
    bdms = Bdms(InMemoryCatalogue([]), policy=Policy.load())
    if is_used:
        bdms.health.failed("PIC-DISK")
    copy = pickle.loads(pickle.dumps(bdms))
    assert isinstance(copy.health, Health)
    assert copy.replication.policy == bdms.replication.policy


def test_forked_child_does_not_move_an_open_file_of_its_parent(tmp_path: Path) -> None:
    content = b"".join(number.to_bytes(4, "big") for number in range(1_000_000))
    archive = Archive(tmp_path, [content])
    with open_file(archive, archive.rses(), archive.lfns[0]) as file:
        assert file.read(100) == content[:100]
        # each child reads on from where the parent was, whatever the others have read meanwhile
        for _ in range(3):
            assert in_a_fork(lambda: file.read() == content[100:]) is True
        assert file.read() == content[100:]
        assert file.seek(-8, os.SEEK_END) == len(content) - 8
        assert file.read() == content[-8:]
        with pytest.raises(OSError, match="Invalid argument"):
            file.seek(-1)


def test_journal_cannot_be_used_in_a_forked_child(tmp_path: Path) -> None:
    """SQLite forbids it: the child would release the locks of the parent when it closes the file."""
    path = tmp_path / "journal.sqlite"

    def use(journal: JournalReader) -> str:
        try:
            journal.waiting()
        except JournalError as error:
            return str(error)
        finally:
            journal.close()
        return "used"

    with Journal(path, by="test", now=lambda: dt.datetime.now(dt.UTC)) as journal, JournalReader(path) as reader:
        for each in (journal, reader):
            assert "was opened by another process; open it again" in str(in_a_fork(lambda each=each: use(each)))  # type: ignore[misc]
            each.waiting()
