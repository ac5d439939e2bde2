"""Scan many files, with prefetching and optional parallel processes."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from ctao_bdms.integrity.checksums import new_digests
from ctao_bdms.integrity.errors import ScanInterruptedError
from ctao_bdms.integrity.scanning import scan
from ctao_bdms.integrity.source import will_need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from ctypes import c_byte
    from multiprocessing.sharedctypes import Synchronized

    from ctao_bdms.model import FileFacts

__all__ = ["scan_many"]

#: Number of files to prefetch.
_AHEAD = 4
#: Largest task of a process; a larger file is a task of its own.
_TASK_FILES = 64
_TASK_BYTES = 64 * 1024 * 1024
#: Interval of progress reports, in seconds.
_PROGRESS_S = 0.1


def scan_many(
    paths: Iterable[str | os.PathLike[str]],
    algorithms: Iterable[str] = ("adler32", "sha256"),
    *,
    jobs: int = 1,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[FileFacts]:
    """Scan files one after the other, or several at once.

    The next files are prefetched while one is read, so that small files too are read at the speed of the storage.

    Parameters
    ----------
    paths
        The files, consumed as needed.
    algorithms
        As for `ctao_bdms.integrity.scan`.
    jobs
        Number of processes. With 1 the files are scanned in this process, which is fastest for files in the page
        cache; more processes help for many large files, and for storage with high latency.
    on_bytes
        Called with the number of bytes read since the last call.

    Yields
    ------
    FileFacts
        In the order of `paths`, each as soon as possible.

    Raises
    ------
    ctao_bdms.errors.UsageError
        If there is no such digest.
    ctao_bdms.integrity.ScanInterruptedError
        If a process was killed, for example by the kernel when it is out of memory.

    Examples
    --------
    >>> [facts.verdict.value for facts in scan_many(["/no/such/file.fits", "/"])]
    ['error', 'error']
    """
    algorithms = tuple(algorithms)
    new_digests(algorithms)  # raises at once for an unknown algorithm
    files = (os.fspath(path) for path in paths)
    return _shared(files, algorithms, jobs, on_bytes) if jobs > 1 else _alone(files, algorithms, on_bytes)


def _alone(
    files: Iterable[str], algorithms: tuple[str, ...], on_bytes: Callable[[int], object] | None
) -> Iterator[FileFacts]:
    files = iter(files)
    coming = deque(itertools.islice(files, 1))
    while coming:
        for file in itertools.islice(files, 1 + _AHEAD - len(coming)):
            will_need(file)
            coming.append(file)
        yield scan(coming.popleft(), algorithms, on_bytes=on_bytes)


def _shared(
    files: Iterable[str], algorithms: tuple[str, ...], jobs: int, on_bytes: Callable[[int], object] | None
) -> Iterator[FileFacts]:
    """Scan in parallel processes, several files a task."""
    context = multiprocessing.get_context("spawn")  # a fork would copy threads that hold locks
    # This process takes no lock: a killed process would never release it.
    stop, read = context.RawValue("b", 0), context.Value("Q", 0)
    told = 0

    def tell() -> None:
        nonlocal told
        now = read.get_obj().value
        if on_bytes is not None and now > told:
            on_bytes(now - told)
        told = now

    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(stop, read))
    running: deque[Future[list[FileFacts]]] = deque()
    tasks = _tasks(files)
    try:
        while True:
            for task in itertools.islice(tasks, 2 * jobs - len(running)):
                running.append(pool.submit(_work, task, algorithms))
            if not running:
                break
            while not wait([running[0]], _PROGRESS_S).done:
                tell()
            tell()
            yield from running.popleft().result()
    except BrokenProcessPool as error:
        msg = "a process that was scanning has ended, perhaps for want of memory; scan with fewer jobs"
        raise ScanInterruptedError(msg) from error
    finally:
        stop.value = 1
        pool.shutdown(cancel_futures=True)


def _tasks(files: Iterable[str]) -> Iterator[list[str]]:
    """Yield tasks of several small files, to reduce the overhead of a task."""
    task: list[str] = []
    total = 0
    for file in files:
        size_bytes = 0
        with contextlib.suppress(OSError, ValueError):
            size_bytes = os.stat(file).st_size  # noqa: PTH116 - a path may be bytes that pathlib would change
        if task and (len(task) == _TASK_FILES or total + size_bytes > _TASK_BYTES):
            yield task
            task, total = [], 0
        task.append(file)
        total += size_bytes
    if task:
        yield task


class _StoppedError(Exception):
    """The scan was stopped by its caller."""


_stop: c_byte
_read: Synchronized[int]


def _begin(stop: c_byte, read: Synchronized[int]) -> None:
    """Initialise a process: it exits with its parent, and ignores SIGINT."""
    global _stop, _read
    _stop, _read = stop, read
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: list[str], algorithms: tuple[str, ...]) -> list[FileFacts]:
    """Scan the files of a task."""

    def on_bytes(count: int) -> None:
        if _stop.value:
            raise _StoppedError
        with _read.get_lock():
            _read.value += count

    return list(_alone(task, algorithms, on_bytes))
