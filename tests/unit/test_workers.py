"""Workers: real processes that are killed, stopped and starved, without harm to the others."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.causes import Cause, cause_of_defects
from ctao_bdms.errors import BdmsError, MissingExtraError, NoWorkerError, RetrievalError, UsageError, WorkerLostError
from ctao_bdms.integrity import NotAFileError, scan
from ctao_bdms.model import DefectKind, Verdict
from ctao_bdms.processes import ProcessId
from ctao_bdms.workers import Scans, TimeLimit, WorkerPool
from ctao_bdms.workers.wire import portable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAIT_S = 30.0


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool(2, memory_bytes=256 << 20, attempts=2)
    yield made
    made.shutdown(cancel_futures=True, grace_s=0)


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended; it may already have."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        ended = select.select([handle], [], [], WAIT_S)[0]
        os.close(handle)
        assert ended


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something has come true in another thread."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_calls_are_answered_and_errors_come_back(pool: WorkerPool) -> None:
    assert list(pool.map(pow, range(20), [2] * 20)) == [n * n for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(WAIT_S)
    with pytest.raises(UsageError, match="unknown digest 'crc99'"):
        pool.submit(scan, "/no/file", ("crc99",)).result(WAIT_S)
    assert pool.lost == 0


def test_error_that_cannot_be_pickled_reaches_the_caller(pool: WorkerPool) -> None:
    with pytest.raises((AttributeError, TypeError), match=r"pickle|local object"):
        pool.submit(lambda: 1)
    with pytest.raises(TypeError, match="pickle"):
        pool.submit(threading.Lock).result(WAIT_S)
    assert pool.submit(abs, -1).result(WAIT_S) == 1


def test_a_killed_worker_is_replaced_and_its_call_made_again(pool: WorkerPool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = "import os,sys; os.mkdir(sys.argv[1]); os.kill(os.getppid(), 9)"
    futures = [pool.submit(abs, -n) for n in range(10)]
    # The child of the worker kills it the first time, and cannot make the folder the second time.
    killer = pool.submit(subprocess.call, [sys.executable, "-c", program, str(mark)], stderr=subprocess.DEVNULL)
    futures += [pool.submit(abs, -n) for n in range(10)]
    assert [future.result(WAIT_S) for future in futures] == [*range(10), *range(10)]
    assert killer.result(WAIT_S) == 1
    assert pool.lost == 1


def test_killing_idle_workers_breaks_nothing(pool: WorkerPool) -> None:
    for _ in range(3):
        pid = pool.submit(os.getpid).result(WAIT_S)
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    assert pool.submit(abs, -3).result(WAIT_S) == 3


def test_a_call_that_kills_every_worker_fails_alone(pool: WorkerPool) -> None:
    deadly = pool.submit(os._exit, 7)
    others = [pool.submit(abs, -n) for n in range(10)]
    with pytest.raises(WorkerLostError, match="worker 1 ended by itself with exit code 7; worker 2") as caught:
        deadly.result(WAIT_S)
    assert caught.value.transient
    assert [other.result(WAIT_S) for other in others] == list(range(10))


def test_a_stopped_worker_is_taken_for_dead_and_the_others_do_not_wait(pool: WorkerPool) -> None:
    hung = pool.submit_within(2, signal.raise_signal, signal.SIGSTOP)
    others = [pool.submit(abs, -n) for n in range(50)]
    assert [other.result(WAIT_S) for other in others] == list(range(50))
    assert not hung.done()
    assert pool.lost == 0
    with pytest.raises(WorkerLostError, match=r"worker 1 gave no answer within 2\.0 s; worker 2 gave no"):
        hung.result(WAIT_S)


def test_a_worker_that_is_stopped_while_it_answers_holds_nobody_up(pool: WorkerPool) -> None:
    """An answer larger than the socket's buffer, of a worker that is stopped in the middle of it."""
    big = pool.submit_within(WAIT_S, bytes, 50_000_000)
    while not big.done():
        for pid in pool.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                os.kill(pid, signal.SIGCONT)
    assert len(big.result()) == 50_000_000


def test_memory_is_limited(pool: WorkerPool) -> None:
    greedy = pool.submit(bytearray, 1 << 30)
    assert pool.submit(abs, -1).result(WAIT_S) == 1
    with pytest.raises(WorkerLostError, match="needed more than its 268 MB of memory"):
        greedy.result(WAIT_S)
    assert len(pool.submit(bytes, 1 << 26).result(WAIT_S)) == 1 << 26


def test_shutdown_waits_for_submitted_calls() -> None:
    with WorkerPool(1) as pool:
        futures = [pool.submit(pow, n, 2) for n in range(5)]
        pid = pool.submit(os.getpid)
    assert [future.result(0) for future in futures] == [0, 1, 4, 9, 16]
    assert not ProcessId.of(pid.result(0))
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(abs, 1)


def test_a_stop_takes_no_longer_than_its_grace() -> None:
    pool = WorkerPool(1)
    pid = pool.submit(os.getpid).result(WAIT_S)
    asleep, waiting = pool.submit(time.sleep, 600), pool.submit(abs, 1)
    wait_until(asleep.running)
    begin = time.monotonic()
    pool.shutdown(cancel_futures=True, grace_s=0.2)
    assert time.monotonic() - begin < 2
    assert waiting.cancelled()
    with pytest.raises(WorkerLostError, match="was stopped"):
        asleep.result(0)
    assert ProcessId.of(pid) is None


def test_nothing_outlives_a_pool_whose_process_is_killed() -> None:
    program = """
import os, signal, time
from ctao_bdms.workers import WorkerPool
pool = WorkerPool(2)
first, second = pool.submit(os.getpid).result(), None
busy = pool.submit(time.sleep, 600), pool.submit(signal.raise_signal, signal.SIGSTOP)
while len(pool.pids) < 2 or not all(future.running() for future in busy): time.sleep(0.01)
print(*pool.pids, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(ProcessId.of(pid) for pid in pids)
        process.kill()
    for pid in pids:
        wait_for_end(pid)


def test_signals_of_the_terminal_and_of_systemd_are_the_daemons_business(pool: WorkerPool) -> None:
    pid = pool.submit(os.getpid).result(WAIT_S)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    assert pool.submit(os.getpid).result(WAIT_S) == pid


def test_calls_fail_if_no_worker_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with WorkerPool(1) as pool, pytest.raises(NoWorkerError, match="could not be started, it ended by itself"):
        pool.submit(abs, 1).result(WAIT_S)


def test_a_machine_without_memory_for_workers_is_to_blame_and_not_the_files(
    pool: WorkerPool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        futures = [Scans(pool).submit(file) for _ in range(20)]
        facts = [future.result(WAIT_S) for future in futures]
    assert {each.verdict for each in facts} == {Verdict.ERROR}
    assert {cause_of_defects(each.defects) for each in facts} == {Cause.MACHINE}
    assert "Cannot allocate memory" in facts[0].defects[0].message
    assert Scans(pool).submit(file).result(WAIT_S).digests


def test_an_answer_that_cannot_be_read_fails_its_call_alone(pool: WorkerPool) -> None:
    sound = [pool.submit(abs, -n) for n in range(5)]
    strange = pool.submit(eval, "type('Strange', (), {'__reduce__': lambda self: (int, ('no number',))})()")
    with pytest.raises(WorkerLostError, match="worker 2 gave an answer that cannot be read: ValueError: invalid"):
        strange.result(WAIT_S)
    assert [future.result(WAIT_S) for future in sound] == [0, 1, 2, 3, 4]
    assert pool.submit(abs, -7).result(WAIT_S) == 7


def test_a_pool_that_fails_lets_no_call_wait_and_is_begun_anew(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asleep = pool.submit(time.sleep, 600)
    wait_until(asleep.running)
    pids = pool.pids

    def fail() -> None:
        raise KeyError("nobody thought of it")

    with monkeypatch.context() as patch:
        patch.setattr(pool, "_hand_out", fail)
        with pytest.raises(WorkerLostError, match="when its pool failed: KeyError"):
            pool.submit(abs, -1).result(WAIT_S)
        with pytest.raises(WorkerLostError, match="when its pool failed: KeyError"):
            asleep.result(WAIT_S)
        assert "Traceback" in caplog.text
    for pid in pids:
        wait_for_end(pid)
    assert pool.submit(abs, -7).result(WAIT_S) == 7


# Scans.


def cached_pages(path: Path) -> int:
    """Return how many pages of a file lie in memory, as mincore() says."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, flags=mmap.MAP_PRIVATE, prot=3) as mapping:
        pages = (ctypes.c_ubyte * (-(-size // mmap.PAGESIZE)))()
        held = ctypes.c_char.from_buffer(mapping)
        failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(held)), ctypes.c_size_t(size), pages)
        del held
        assert not failed, os.strerror(ctypes.get_errno())
        return sum(page & 1 for page in pages)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.txt"
    with path.open("wb") as writer:
        writer.write(os.urandom(3_000_000))
        os.fsync(writer.fileno())
    return path


def test_a_scan_in_a_worker_says_the_same_and_leaves_no_page_behind(pool: WorkerPool, file: Path) -> None:
    here = scan(file, ("adler32", "sha256", "md5"))
    assert cached_pages(file) > 0
    there = Scans(pool).submit(file, 3_000_000, algorithms=("adler32", "sha256", "md5")).result(WAIT_S)
    assert there == here
    assert set(there.digests) == {"adler32", "sha256", "md5"}
    assert cached_pages(file) == 0


def test_any_executor_will_do(file: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        assert Scans(executor).submit(file).result(WAIT_S) == scan(file)


def test_a_file_that_takes_too_long_is_a_defect_and_disturbs_no_other(
    pool: WorkerPool, file: Path, tmp_path: Path
) -> None:
    endless = tmp_path / "endless.txt"
    endless.touch()
    os.truncate(endless, 1 << 40)  # a hole: reading it takes minutes
    slow = Scans(pool, TimeLimit(base_s=0.5, minimum_rate_bytes_per_s=1e20)).submit(endless, 1 << 40)
    sound = [Scans(pool).submit(file, 3_000_000) for _ in range(5)]
    assert all(future.result(WAIT_S) == scan(file) for future in sound)
    lost = slow.result(WAIT_S)
    assert lost.verdict is Verdict.ERROR
    assert [defect.kind for defect in lost.defects] == [DefectKind.WORKER]
    assert "worker 1 gave no answer within 0.5 s; worker 2" in lost.defects[0].message


def test_a_file_whose_worker_is_killed_meanwhile_is_read_by_another(pool: WorkerPool, tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.touch()
    os.truncate(large, 1 << 29)
    future = Scans(pool).submit(large, 1 << 29)
    wait_until(lambda: bool(pool.pids))
    first = pool.pids[0]
    while f"{large}" not in opened_by(first):
        assert not future.done()
    os.kill(first, signal.SIGKILL)
    assert future.result(WAIT_S).size_bytes == 1 << 29
    assert pool.lost == 1
    assert first not in pool.pids


def opened_by(pid: int) -> set[str]:
    """Return the files that a process has open."""
    links = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.add(os.readlink(entry.path))  # noqa: PTH115
    return links


def test_a_scan_that_waits_can_be_cancelled(pool: WorkerPool, file: Path) -> None:
    asleep = [pool.submit(time.sleep, 600) for _ in range(2)]
    for future in asleep:
        wait_until(future.running)
    waiting = Scans(pool).submit(file)
    assert waiting.cancel()
    pool.shutdown(grace_s=0)
    assert all(isinstance(future.exception(0), WorkerLostError) for future in asleep)


def test_the_limit_of_time_grows_with_the_size() -> None:
    assert TimeLimit(base_s=10, minimum_rate_bytes_per_s=1e6).of(5_000_000) == 15


@pytest.mark.parametrize(
    "error",
    [MissingExtraError("formats", "h5py"), RetrievalError("/a", ["b", "c"]), NotAFileError("/dev/null", "device")],
)
def test_errors_cross_with_their_kind_and_facts(error: BdmsError) -> None:
    there = portable(error)
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)


@pytest.mark.parametrize("number", [1, 2])
def test_long_calls_that_hold_all_workers_keep_no_short_one_waiting(number: int) -> None:
    pool = WorkerPool(number)
    try:
        long = [pool.submit_within(200_000.0, time.sleep, 3600) for _ in range(number)]
        wait_until(lambda: all(call.running() for call in long))
        short = [pool.submit_within(60.0, divmod, call, 7) for call in range(60)]
        assert [call.result(WAIT_S) for call in short] == [divmod(call, 7) for call in range(60)]
        assert all(call.running() for call in long)
        assert len(pool.pids) == number + 1, "never more than one beside the others"
    finally:
        pool.shutdown(cancel_futures=True, grace_s=0)


def test_call_as_long_as_the_others_gets_no_worker_of_its_own() -> None:
    pool = WorkerPool(1)
    try:
        first = pool.submit_within(100.0, time.sleep, 3600)
        wait_until(first.running)
        second, third = pool.submit_within(90.0, divmod, 7, 2), pool.submit_within(10.0, divmod, 9, 2)
        assert third.result(WAIT_S) == (4, 1)
        assert not second.running()
    finally:
        pool.shutdown(cancel_futures=True, grace_s=0)


def test_hollow_file_is_judged_by_a_worker_while_others_are_read(tmp_path: Path) -> None:
    hollow = [tmp_path / "a.fits.fz", tmp_path / "b.fits.fz"]
    for path in hollow:
        path.touch()
        os.truncate(path, 10**12)
    small = [tmp_path / f"{number}.txt" for number in range(20)]
    for path in small:
        path.write_text(path.name)
    with WorkerPool(2) as pool:
        scans = Scans(pool)
        futures = [scans.submit(path, path.stat().st_size) for path in (*hollow, *small)]
        facts = [future.result(WAIT_S) for future in futures]
    assert [each.verdict for each in facts] == [Verdict.BAD] * 2 + [Verdict.UNCHECKED] * 20


def test_limit_of_time_longer_than_the_kernel_counts_is_none(pool: WorkerPool) -> None:
    limit_s = TimeLimit().of(2**63 - 1)
    assert [pool.submit_within(limit_s, abs, -n).result(WAIT_S) for n in range(4)] == list(range(4))
    assert pool.lost == 0
