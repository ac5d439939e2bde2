"""The pool of workers.

Each worker has its own socket, so that its end harms no other. Other pools share pipes and locks among their workers.
The pool of the standard library breaks when one worker dies. The pool of pebble 5.2 breaks when an idle worker is
killed, blocks all workers for three seconds while it stops one, waits for ever for a worker that hangs in the kernel,
and measures time limits with the wall clock.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections import deque
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ctao_bdms.errors import NoWorkerError, WorkerLostError
from ctao_bdms.workers.wire import pack
from ctao_bdms.workers.worker import Job, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WorkerPool"]

_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: The time limits for the start and the regular end of a worker, in seconds.
_START_S, _END_S = 60.0, 2.0

_INFINITE_S = float("inf")
#: The longest single wait for answers, in seconds: the kernel limits the timeout to some weeks.
_LONGEST_LOOK_S = 86_400.0

#: After this number of failed starts in a row, the waiting calls fail.
_STARTS = 3

#: A call is short if the time limits of all running calls are at least this many times longer.
_LONGER = 4


class WorkerPool(Executor):
    """Run calls in processes, and replace those that die, hang or exceed their memory.

    The call of a lost worker is retried in another one. Long calls do not block short ones: while long calls occupy all
    processes, an additional process runs calls with a much shorter time limit.

    Calls are pickled, so functions must be importable. No worker survives the process of the pool, even if that is
    killed.

    Parameters
    ----------
    number
        The number of processes; they are started on demand.
    memory_bytes
        The memory limit of a process beyond its use at the start; 0 for no limit.
    attempts
        The number of lost workers after which a call fails with `WorkerLostError`. If no worker can be started, the
        waiting calls fail with `NoWorkerError`.

    Examples
    --------
    >>> with WorkerPool(1) as pool:
    ...     pool.submit(divmod, 7, 2).result()
    (3, 1)
    """

    def __init__(self, number: int = 2, *, memory_bytes: int = 0, attempts: int = 3) -> None:
        self.number = number
        self._memory_bytes = memory_bytes
        self._attempts = attempts
        self._queue: deque[Job] = deque()
        self._workers: list[Worker] = []
        self._ending: list[Worker] = []
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._kill_at_s = float("inf")
        self._failed_starts = 0
        self._lost = 0

    @property
    def lost(self) -> int:
        """The number of workers so far that died, hung or exceeded their memory."""
        return self._lost

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in list(self._workers)]

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Submit a call without a time limit."""
        return self.submit_within(None, fn, *args, **kwargs)

    def submit_within(
        self, limit_s: float | None, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Submit a call with a time limit in each worker.

        Parameters
        ----------
        limit_s
            The time in seconds after which its worker is killed; None for no limit.

        Raises
        ------
        RuntimeError
            If the pool is shut down.
        """
        future: Future[_T] = Future()
        job = Job(message=pack((fn, args, kwargs)), future=future, limit_s=limit_s)
        with self._lock:
            if self._closed:
                msg = "the pool of workers is shut down"
                raise RuntimeError(msg)
            self._queue.append(job)
            if self._thread is None:
                # This thread starts the workers and must outlive them: the kernel kills them when it ends.
                self._thread = threading.Thread(target=self._run, name="bdms-workers", daemon=True)
                self._thread.start()
            os.eventfd_write(self._wake, 1)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, grace_s: float | None = None) -> None:
        """Accept no more calls, and end the workers after the submitted calls.

        Parameters
        ----------
        wait
            Whether to return only when all workers have ended.
        cancel_futures
            Whether to cancel the calls that are not running.
        grace_s
            The time in seconds after which the workers are killed; their calls fail with `WorkerLostError`.
        """
        with self._lock:
            self._closed = True
            if cancel_futures:
                for job in self._queue:
                    job.future.cancel()
            if grace_s is not None:
                self._kill_at_s = time.monotonic() + grace_s
            if self._thread is not None and self._thread.is_alive():
                os.eventfd_write(self._wake, 1)
            thread = self._thread
        if wait and thread is not None:
            thread.join()

    def _run(self) -> None:
        """Run the pool; after an unexpected error, let all calls fail."""
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - after any error, no call may wait for ever
            _log.exception("the pool of workers fails, and is begun anew with the next call; please report it")
            self._break_off(error)

    def _break_off(self, error: Exception) -> None:
        """Let all calls fail, and reset the pool."""
        with self._lock:
            workers = [*self._workers, *self._ending]
            jobs = [worker.job for worker in workers if worker.job is not None]
            jobs += self._queue
            self._queue.clear()
            self._workers, self._ending = [], []
            self._selector.close()
            self._selector = selectors.DefaultSelector()
            self._selector.register(self._wake, selectors.EVENT_READ)
            self._thread = None
        for worker in workers:
            worker.close()
            worker.kill()
        how = f"was let go when its pool failed: {type(error).__name__}: {error}"
        for job in jobs:
            _fail(job, WorkerLostError([*job.ends, how]))
        for worker in workers:
            worker.reap()

    def _work(self) -> None:
        """Submit calls and take answers until the pool is shut down and idle."""
        while True:
            self._expire()
            self._staff()
            self._hand_out()
            if self._closed and not self._queue and not any(worker.job for worker in self._workers):
                break
            self._attend(self._next_s())
        self._dismiss()
        with self._lock:
            self._selector.close()
            os.close(self._wake)

    def _next_s(self) -> float | None:
        """Return the time until the next deadline, in seconds; None if there is none."""
        next_s = min([self._kill_at_s, *(worker.deadline_s for worker in self._workers)])
        return None if next_s == float("inf") else min(max(0.0, next_s - time.monotonic()), _LONGEST_LOOK_S)

    def _attend(self, timeout_s: float | None) -> None:
        """Wait for answers, ends of workers and new calls, and handle them."""
        for key, _ in self._selector.select(timeout_s):
            worker: Worker | None = key.data
            if worker is None:
                os.eventfd_read(self._wake)
            elif key.fd == worker.handle:
                self._ended(worker)
            elif worker in self._workers:
                self._answered(worker)

    def _staff(self) -> None:
        """Start workers on demand, limited even if ending workers hang in the kernel."""
        busy = sum(worker.job is not None for worker in self._workers)
        wanted = min(self.number, busy + len(self._queue)) + self._is_one_more_needed
        while len(self._workers) < wanted and len(self._workers) + len(self._ending) < 2 * self.number + 1:
            try:
                worker = Worker(self._memory_bytes)
            except OSError as error:  # no memory, or no more processes
                _log.warning("a worker cannot be started: %s", error)
                if not self._workers:
                    self._give_up(str(error))
                return
            worker.deadline_s = time.monotonic() + _START_S
            self._selector.register(worker.connection, selectors.EVENT_READ, worker)
            self._selector.register(worker.handle, selectors.EVENT_READ, worker)
            self._workers.append(worker)

    @property
    def _is_one_more_needed(self) -> bool:
        """Whether a short call waits while long ones occupy all regular workers."""
        return self._next_short() is not None

    def _next_short(self) -> Job | None:
        """Return the first short call that waits; None if a regular worker is free.

        A call without a time limit is longer than any other.
        """
        running = [worker.job.limit_s for worker in self._workers if worker.job is not None]
        if len(running) < self.number:
            return None
        shortest_s = min(_INFINITE_S if limit_s is None else limit_s for limit_s in running)
        return next(
            (job for job in list(self._queue) if job.limit_s is not None and _LONGER * job.limit_s <= shortest_s), None
        )

    def _next_job(self) -> Job | None:
        """Take the next call from the queue: a short one if all regular workers are busy."""
        if sum(worker.job is not None for worker in self._workers) < self.number:
            return self._queue.popleft() if self._queue else None
        job = self._next_short()
        if job is not None:
            self._queue.remove(job)
        return job

    def _hand_out(self) -> None:
        """Give the waiting calls to idle workers."""
        idle = [worker for worker in self._workers if worker.ready and worker.job is None]
        while idle and (job := self._next_job()) is not None:
            if not job.ends and not job.future.set_running_or_notify_cancel():
                continue
            worker = idle.pop()
            if worker.give(job):
                worker.deadline_s = float("inf") if job.limit_s is None else time.monotonic() + job.limit_s
            else:
                worker.kill()  # when its end is noticed, the call is queued again

    def _answered(self, worker: Worker) -> None:
        """Handle the messages of a worker."""
        try:
            messages = worker.inbound.take()
        except Exception as strange:  # noqa: BLE001 - a broken pickle may raise anything
            self._lose(worker, f"gave an answer that cannot be read: {type(strange).__name__}: {strange}")
            return
        for message in messages:
            if message is None:
                worker.ready, worker.deadline_s = True, float("inf")
                self._failed_starts = 0
                continue
            value, error = message
            job, worker.job, worker.deadline_s = worker.job, None, float("inf")
            if job is None:
                continue
            if isinstance(error, MemoryError):
                worker.job = job
                self._lose(worker, f"needed more than its {self._memory_bytes / 1e6:.0f} MB of memory")
            elif error is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(value)
        if worker.inbound.closed and worker in self._workers:
            self._unlisten(worker)
            worker.kill()

    def _unlisten(self, worker: Worker) -> None:
        if worker.connection in self._selector.get_map():
            self._selector.unregister(worker.connection)

    def _ended(self, worker: Worker) -> None:
        """Handle the end of a worker, after its last messages."""
        if worker in self._workers:
            self._answered(worker)
        self._selector.unregister(worker.handle)
        how = worker.reap()
        if worker in self._workers:
            self._lose(worker, how)
        self._ending.remove(worker)

    def _expire(self) -> None:
        """Kill the workers that exceed their deadline."""
        now_s = time.monotonic()
        stop = now_s >= self._kill_at_s
        if stop:
            while self._queue:
                job = self._queue.popleft()
                if not job.future.cancel():
                    job.future.set_exception(WorkerLostError(["was stopped"]))
        for worker in list(self._workers):
            if stop or now_s >= worker.deadline_s:
                limit_s = _START_S if worker.job is None else worker.job.limit_s
                self._lose(worker, "was stopped" if stop else f"gave no answer within {limit_s:.1f} s")

    def _lose(self, worker: Worker, how: str) -> None:
        """Kill a worker, and queue its call again."""
        self._workers.remove(worker)
        self._ending.append(worker)
        self._unlisten(worker)
        worker.close()
        worker.kill()
        self._lost += 1
        _log.warning("worker %d %s", worker.pid, how)
        job, worker.job = worker.job, None
        if job is not None:
            job.ends.append(how)
            if len(job.ends) >= self._attempts or time.monotonic() >= self._kill_at_s:
                job.future.set_exception(WorkerLostError(job.ends))
            else:
                self._queue.append(job)
        elif not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                self._failed_starts = 0
                self._give_up(f"it {how}")

    def _give_up(self, how: str) -> None:
        """Let the waiting calls fail, since no worker can be started."""
        while self._queue:
            _fail(self._queue.popleft(), NoWorkerError(how))

    def _dismiss(self) -> None:
        """End all workers: idle ones when their socket closes, the others by a kill."""
        for worker in self._workers:
            self._unlisten(worker)
            worker.close()
        self._ending += self._workers
        self._workers.clear()
        for last in (False, True):
            until_s = time.monotonic() + _END_S
            while self._ending and (left_s := until_s - time.monotonic()) > 0:
                self._attend(left_s)
            for worker in self._ending if not last else ():
                worker.kill()


def _fail(job: Job, error: Exception) -> None:
    """Let a call fail, unless it is cancelled or done."""
    if job.future.running() or (not job.future.done() and job.future.set_running_or_notify_cancel()):
        job.future.set_exception(error)
