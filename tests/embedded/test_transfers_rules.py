"""The parts of the transfer service by themselves: state machine, submission, store, file mover."""

from __future__ import annotations

import itertools
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.embedded.transfers.database import Database
from ctao_bdms.embedded.transfers.files import FileMover
from ctao_bdms.embedded.transfers.jobs import (
    Checksum,
    FileState,
    JobState,
    JobType,
    NewFile,
    NewJob,
    Order,
    Verify,
    final_state,
    first_states,
    next_file,
)
from ctao_bdms.embedded.transfers.movers import make_movers, mover_for
from ctao_bdms.embedded.transfers.refusals import (
    DatabaseInUseError,
    DuplicateJobError,
    InvalidRequestError,
    TransferAbandonedError,
    TransferFailedError,
)
from ctao_bdms.embedded.transfers.store import Store
from ctao_bdms.embedded.transfers.submission import parse_submission
from ctao_bdms.embedded.transfers.urls import local_path, storage_of
from ctao_bdms.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = b"a night at the observatory" * 1000
ADLER32 = Checksum("adler32", f"{zlib.adler32(DATA):08x}")


def never() -> bool:
    return False


def run(job_type: JobType, outcomes: tuple[bool, ...]) -> tuple[JobState, list[FileState]]:
    """Let a job of so many files run to its end; file i would succeed if outcomes[i]."""
    states = first_states(job_type, len(outcomes))
    while True:
        live = [index for index, state in enumerate(states) if state is FileState.SUBMITTED]
        for index in live:
            states[index] = FileState.FINISHED if outcomes[index] else FileState.FAILED
        turn = next_file(job_type, states)
        if turn is None:
            return final_state(job_type, states), states
        assert states[turn] is FileState.NOT_USED
        states[turn] = FileState.SUBMITTED


@pytest.mark.parametrize("files", [1, 2, 3, 4])
def test_every_course_of_a_job_ends_as_in_fts(files: int) -> None:
    for outcomes in itertools.product([True, False], repeat=files):
        state, states = run(JobType.NORMAL, outcomes)
        assert [s is FileState.FINISHED for s in states] == list(outcomes)
        assert state == (
            JobState.FINISHED if all(outcomes) else JobState.FINISHEDDIRTY if any(outcomes) else JobState.FAILED
        )

        state, states = run(JobType.MULTI_SOURCE, outcomes)
        assert state == (JobState.FINISHED if any(outcomes) else JobState.FAILED)
        used = outcomes.index(True) + 1 if any(outcomes) else files
        assert states[used:] == [FileState.NOT_USED] * (files - used)
        assert states[: used - 1] == [FileState.FAILED] * (used - 1)

        state, states = run(JobType.MULTI_HOP, outcomes)
        assert state == (JobState.FINISHED if all(outcomes) else JobState.FAILED)
        used = outcomes.index(False) + 1 if not all(outcomes) else files
        assert states[used:] == [FileState.NOT_USED] * (files - used)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a/b", "/a/b"),
        ("file://localhost/a/b", "/a/b"),
        ("FILE://LOCALHOST//a//b", "//a//b"),
        ("file:///a%20b/%C3%A9%2Bc+d", "/a b/é+c+d"),
        ("file:///é/b", "/é/b"),
        ("file:///a/100%", "/a/100%"),
        ("file:///a/%ff", "/a/\udcff"),
        ("file:///a%3Fb%23c", "/a?b#c"),
        ("file:///...", "/..."),
    ],
)
def test_local_path(url: str, path: str) -> None:
    assert local_path(url) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "file://cern.ch/a",
        "file://127.0.0.1/a",
        "file://localhost:80/a",
        "file://user@localhost/a",
        "file:a",
        "file://",
        "file:///",
        "file:///a/",
        "file:///a/.",
        "file:///a/../b",
        "file:///a/%2e%2E/b",
        "file:///a/%2e%2e%2fb",
        "file:///a/..",
        "file:///a?b",
        "file:///a?",
        "file:///a#",
        "file:///a%00",
        "file:///a\nb",
        "file:///\ud800",
        "file://[/a",
    ],
)
def test_local_path_refuses(url: str) -> None:
    with pytest.raises(InvalidRequestError):
        local_path(url)


def test_the_storage_of_a_url() -> None:
    assert storage_of("file:///a") == storage_of("FILE://localhost/b") == "file://localhost"
    assert storage_of("davs://storage.example:443/c") == "davs://storage.example"


def request(**params: Any) -> dict[str, Any]:  # noqa: ANN401
    entry = {"sources": ["file:///a"], "destinations": ["file:///b"], "checksum": "ADLER32:a", "filesize": 3}
    return {"files": [entry], "params": params}


def submit(body: object) -> NewJob:
    movers = make_movers(())
    return parse_submission(body, lambda source, destination: mover_for(movers, source, destination))


@pytest.mark.parametrize(
    ("asked", "verify"),
    [(None, "target"), (True, "both"), (False, "none"), ("BOTH", "both"), ("source", "source"), ("target", "target")],
)
def test_what_is_verified(asked: object, verify: str) -> None:
    assert submit(request(verify_checksum=asked)).files[0].verify == Verify(verify)


def test_a_short_adler32_gets_its_zeros_back() -> None:
    assert submit(request()).files[0].checksum == Checksum("adler32", "0000000a")


def test_overwrite_hop_spares_the_last_hop() -> None:
    body = request(multihop=True, overwrite_hop=True)
    body["files"] *= 3
    job = submit(body)
    assert job.type is JobType.MULTI_HOP
    assert [file.overwrite for file in job.files] == [True, True, False]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    database = Database(tmp_path / "jobs.sqlite")
    yield Store(database)
    database.close()


def new_job(job_id: str, *destinations: str, priority: int = 3, job_type: JobType = JobType.NORMAL) -> NewJob:
    return NewJob(
        id=job_id,
        type=job_type,
        priority=priority,
        metadata="{}",
        params="{}",
        files=tuple(
            NewFile(
                source="file:///source",
                destination=destination,
                size_bytes=None,
                checksum=ADLER32,
                verify=Verify.BOTH,
                overwrite=False,
                metadata="{}",
            )
            for destination in destinations
        ),
    )


def job_state(store: Store, job_id: str) -> str:
    job = store.job(job_id)
    assert job is not None
    state: str = job["state"]
    return state


def test_the_queue_goes_by_priority_then_age(store: Store) -> None:
    store.add(new_job("old", "file:///1", "file:///2"), 0)
    store.add(new_job("new", "file:///3"), 0)
    store.add(new_job("urgent", "file:///4", priority=5), 0)
    store.set_priority("new", 4)
    taken = [store.claim(1) for _ in range(5)]
    assert [task.order.destination[-1] for task in taken if task] == ["4", "3", "1", "2"]
    assert taken[-1] is None


def test_one_destination_is_written_by_one_copy_at_a_time(store: Store) -> None:
    store.add(new_job("a", "file:///1"), 0)
    store.add(new_job("b", "file:///1"), 0)
    first = store.claim(1)
    assert first is not None
    assert store.claim(1) is None
    store.finish(first, 2, moved_bytes=1)
    second = store.claim(3)
    assert second is not None
    assert second.job_id == "b"


def test_a_cancelled_file_is_not_finished_by_its_late_copy(store: Store) -> None:
    store.add(new_job("a", "file:///1", "file:///2"), 0)
    task = store.claim(1)
    assert task is not None
    assert store.cancel("a", 2) == [task.file_id]
    assert store.finish(task, 3, moved_bytes=1) is False
    assert [file["state"] for file in store.files("a")] == ["CANCELED", "CANCELED"]
    assert job_state(store, "a") == "CANCELED"
    assert store.cancel("a", 4) is None
    assert store.cancel("unknown", 4) is None


def test_a_second_job_of_the_same_identifier_is_refused_whole(store: Store) -> None:
    store.add(new_job("a", "file:///1"), 0)
    with pytest.raises(DuplicateJobError):
        store.add(new_job("a", "file:///2"), 0)
    assert [file["destination"] for file in store.files("a")] == ["file:///1"]


def test_only_jobs_that_ended_long_ago_are_forgotten(store: Store) -> None:
    for job_id in ("early", "late", "unfinished"):
        store.add(new_job(job_id, f"file:///{job_id}"), 0)
    for now in (10.0, 20.0):
        task = store.claim(now)
        assert task is not None
        store.finish(task, now, reason="SOURCE [2] gone")
    assert store.prune(before=15) == 1
    assert store.job("early") is None
    assert store.files("early") == []
    assert job_state(store, "late") == "FAILED"
    assert job_state(store, "unfinished") == "SUBMITTED"


def test_what_failed_copies_left_is_remembered_as_long_as_their_jobs(store: Store) -> None:
    tasks = []
    for job_id in ("early", "late"):
        store.add(new_job(job_id, f"file:///{job_id}"), 0)
    for now in (10.0, 20.0):
        task = store.claim(now)
        assert task is not None
        store.finish(task, now, reason="DESTINATION [111] down")
        store.leave(task, now)
        tasks.append(task)
    store.leave(tasks[0], 30)
    assert [task.order.part for task in store.leftovers(1)] == [tasks[1].order.part], "tried least of late"
    assert len(store.leftovers(10)) == 2
    store.tidied(tasks[1])
    assert [task.file_id for task in store.leftovers(10)] == [tasks[0].file_id]
    store.prune(before=15)
    assert store.leftovers(10) == []
    store.leave(tasks[0], 40)
    assert store.leftovers(10) == []


def test_a_database_of_before_is_taken_on(tmp_path: Path) -> None:
    """Leftovers are remembered in a table that was not there at first."""
    database = Database(tmp_path / "jobs.sqlite")
    Store(database).add(new_job("a", "file:///1"), 0)
    database.execute("drop table leftovers")
    database.close()
    database = Database(tmp_path / "jobs.sqlite")
    assert Store(database).leftovers(10) == []
    assert Store(database).job("a") is not None
    database.close()


def test_what_was_being_copied_is_queued_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "jobs.sqlite")
    Store(database).add(new_job("a", "file:///1", "file:///2"), 0)
    before = Store(database).claim(1)
    assert before is not None
    database.close()

    database = Database(tmp_path / "jobs.sqlite")
    store = Store(database)
    assert [order.part for order in store.recover()] == [before.order.part]
    again = store.claim(2)
    assert again is not None
    assert again.file_id == before.file_id
    assert (before.order.resumed, again.order.resumed) == (False, True)
    database.close()


def test_the_database_has_one_owner(tmp_path: Path) -> None:
    owner = Database(tmp_path / "jobs.sqlite")
    with pytest.raises(DatabaseInUseError, match="in use by another transfer service"):
        Database(tmp_path / "jobs.sqlite", patience_s=0)
    owner.close()
    Database(tmp_path / "jobs.sqlite", patience_s=0).close()


def test_the_database_must_be_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to look like one " * 9)
    with pytest.raises(EmbeddedError, match="cannot be used"):
        Database(tmp_path / "text")
    with pytest.raises(EmbeddedError, match="cannot be opened"):
        Database(tmp_path / "no" / "folder")


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "source").write_bytes(DATA)
    return Order(
        source=(tmp_path / "source").as_uri(),
        destination=(tmp_path / "new" / "folder" / "target").as_uri(),
        part=".part",
        size_bytes=len(DATA),
        checksum=ADLER32,
    )


def target_of(order: Order) -> Path:
    return local_path(order.destination)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def at_call(number: int, action: Callable[[], object]) -> Callable[[], bool]:
    """Return a question that is answered with no, and at its n-th asking does something behind the mover's back."""
    calls = itertools.count(1)

    def ask() -> bool:
        if next(calls) == number:
            action()
        return False

    return ask


def flip_first_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes([DATA[0] ^ 1]))


def test_a_copy_is_whole_and_alone(order: Order) -> None:
    assert FileMover().move(order, never) == len(DATA)
    assert target_of(order).read_bytes() == DATA
    assert names(target_of(order).parent) == ["target"]


def test_an_empty_file_is_a_file(order: Order, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"")
    empty = attrs.evolve(order, size_bytes=0, checksum=Checksum("adler32", "00000001"))
    assert FileMover().move(empty, never) == 0
    assert target_of(order).read_bytes() == b""


@pytest.mark.parametrize(
    ("checksum", "reason"),
    [
        (ADLER32, r"TRANSFER \[5\] DESTINATION CHECKSUM MISMATCH Destination and user-defined ADLER32 do not match"),
        (None, r"TRANSFER \[5\] TRANSFER CHECKSUM MISMATCH Source and destination ADLER32 do not match"),
    ],
)
def test_bytes_that_rot_on_their_way_to_disk_are_found(order: Order, checksum: Checksum | None, reason: str) -> None:
    part = target_of(order).with_name(order.part)
    # Asked before each read: the piece, the end of the source, then the piece read back.
    rot = at_call(3, lambda: flip_first_byte(part))
    with pytest.raises(TransferFailedError, match=reason):
        FileMover().move(attrs.evolve(order, checksum=checksum), rot)
    assert names(target_of(order).parent) == []


def test_a_source_that_changes_meanwhile_is_found(order: Order, tmp_path: Path) -> None:
    def grow() -> None:
        with (tmp_path / "source").open("ab") as file:
            file.write(b"more")

    with pytest.raises(TransferFailedError, match="Source file changed while it was copied"):
        FileMover().move(attrs.evolve(order, checksum=None, verify=Verify.NONE), at_call(2, grow))
    assert names(target_of(order).parent) == []


def test_an_abandoned_copy_leaves_nothing(order: Order) -> None:
    answers = iter([False, True])
    with pytest.raises(TransferAbandonedError):
        FileMover().move(order, lambda: next(answers))
    assert names(target_of(order).parent) == []


def test_a_failed_copy_spares_the_file_that_it_should_replace(order: Order) -> None:
    target_of(order).parent.mkdir(parents=True)
    target_of(order).write_bytes(b"good")
    wrong = attrs.evolve(order, overwrite=True, checksum=Checksum("adler32", "deadbeef"))
    with pytest.raises(TransferFailedError):
        FileMover().move(wrong, never)
    assert target_of(order).read_bytes() == b"good"
    FileMover().move(attrs.evolve(order, overwrite=True), never)
    assert target_of(order).read_bytes() == DATA


@pytest.mark.parametrize("checksum", [ADLER32, None])
def test_a_copy_that_was_renamed_but_not_noted_is_recognised(order: Order, checksum: Checksum | None) -> None:
    order = attrs.evolve(order, checksum=checksum)
    FileMover().move(order, never)
    with pytest.raises(TransferFailedError, match=r"DESTINATION \[17\] Destination file exists"):
        FileMover().move(order, never)
    resumed = attrs.evolve(order, resumed=True)
    assert FileMover().move(resumed, never) == len(DATA)
    flip_first_byte(target_of(order))
    with pytest.raises(TransferFailedError, match=r"DESTINATION \[17\] Destination file exists"):
        FileMover().move(resumed, never)


def test_a_pipe_is_refused_and_not_waited_for(order: Order, tmp_path: Path) -> None:
    (tmp_path / "source").unlink()
    os.mkfifo(tmp_path / "source")
    with pytest.raises(TransferFailedError, match=r"SOURCE \[22\] Source is not a regular file"):
        FileMover().move(order, never)


def test_nothing_outside_the_roots_is_touched(order: Order, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    mover = make_movers([inside])["file"]
    mover.check((inside / "new" / "file").as_uri())
    for path in (outside / "file", inside / "link" / "file", tmp_path / "inside-not", tmp_path / "source"):
        with pytest.raises(InvalidRequestError, match="outside the allowed folders"):
            mover.check(path.as_uri())
    with pytest.raises(InvalidRequestError, match="outside the allowed folders"):
        mover.move(order, never)
