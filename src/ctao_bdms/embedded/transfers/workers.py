"""The threads that run the copies in the queue."""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
import time
from typing import TYPE_CHECKING

from ctao_bdms.embedded.transfers.movers import mover_for
from ctao_bdms.embedded.transfers.refusals import InvalidRequestError, TransferAbandonedError, TransferFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctao_bdms.embedded.transfers.movers import Mover
    from ctao_bdms.embedded.transfers.store import Store, Task

__all__ = ["Workers"]

_log = logging.getLogger(__name__)
_PRUNE_INTERVAL_S = 3600.0
_TIDY_INTERVAL_S = 60.0
#: The number of temporary files to remove in one round: a server that hangs takes half a minute for each.
_TIDIED_AT_ONCE = 20


class Workers:
    """Threads that make copies, and one that removes temporary files of failed copies and deletes old jobs.

    Parameters
    ----------
    count
        The number of simultaneous copies.
    keep_s
        How long ended jobs are kept, in seconds.
    on_death
        Called if a thread ends by an error that is not that of a copy, e.g. a full disk of the database.
    tidy_s
        The interval of attempts to remove temporary files of failed copies, in seconds.
    """

    def __init__(
        self,
        store: Store,
        movers: Mapping[str, Mover],
        *,
        count: int,
        keep_s: float,
        on_death: Callable[[], object],
        tidy_s: float = _TIDY_INTERVAL_S,
    ) -> None:
        self._store = store
        self._movers = movers
        self._keep_s = keep_s
        self._tidy_s = tidy_s
        self._on_death = on_death
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._cancelled: dict[int, threading.Event] = {}
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._work,), name=f"mover-{number}", daemon=True)
            for number in range(count)
        ]
        self._threads.append(
            threading.Thread(target=self._guarded, args=(self._keep_house,), name="housekeeper", daemon=True)
        )

    def start(self) -> None:
        """Recover the jobs of an earlier service, then start the threads."""
        for order in self._store.recover():
            with contextlib.suppress(InvalidRequestError):
                mover_for(self._movers, order.source, order.destination).clean(order)
        for thread in self._threads:
            thread.start()

    def notice(self, files: int | None = None) -> None:
        """Wake up idle threads, as many as `files`, or all."""
        with self._news:
            self._news.notify(len(self._threads) if files is None else files)

    def abandon(self, file_ids: Iterable[int]) -> None:
        """Abandon the copies of these files; their jobs have been cancelled."""
        with self._news:
            for file_id in file_ids:
                if file_id in self._cancelled:
                    self._cancelled[file_id].set()

    def stop(self, patience_s: float) -> bool:
        """Abandon all copies; the next service makes them again.

        Waits for at most `patience_s` seconds, and returns whether all threads have ended.
        """
        self._stopping.set()
        self.notice()
        deadline = time.monotonic() + patience_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _guarded(self, duty: Callable[[], None]) -> None:
        """Run the function of a thread, and report if it ends early."""
        try:
            duty()
        finally:
            if not self._stopping.is_set():
                self._on_death()

    def _work(self) -> None:
        """Make copies, one after the other."""
        while (taken := self._next()) is not None:
            task, cancelled = taken
            try:
                self._move(task, cancelled)
            finally:
                with self._news:
                    del self._cancelled[task.file_id]
                    # This may have unblocked the next hop, the next source or a job for the same destination.
                    self._news.notify()

    def _next(self) -> tuple[Task, threading.Event] | None:
        """Wait for a file to copy; None to stop."""
        with self._news:
            while not self._stopping.is_set():
                task = self._store.claim(time.time())
                if task is not None:
                    self._cancelled[task.file_id] = threading.Event()
                    return task, self._cancelled[task.file_id]
                self._news.wait()
        return None

    def _move(self, task: Task, cancelled: threading.Event) -> None:
        """Make one copy and record its result."""
        order = task.order
        try:
            mover = mover_for(self._movers, order.source, order.destination)
            moved = mover.move(order, lambda: self._stopping.is_set() or cancelled.is_set())
        except TransferAbandonedError as error:
            _log.info("job %s: abandoned %s", task.job_id, order.destination)
            if error.leaves_part and cancelled.is_set():  # otherwise the copy is repeated with the same temporary file
                self._store.leave(task, time.time())
        except TransferFailedError as error:
            self._fail(task, str(error))
            if error.leaves_part:
                self._store.leave(task, time.time())
        except InvalidRequestError as error:
            self._fail(task, f"TRANSFER [{errno.EINVAL}] {error}")
        else:
            self._store.finish(task, time.time(), moved_bytes=moved)
            _log.debug("job %s: copied %s", task.job_id, order.destination)

    def _fail(self, task: Task, reason: str) -> None:
        """Record a failed copy."""
        self._store.finish(task, time.time(), reason=reason)
        _log.warning("job %s: %s to %s: %s", task.job_id, task.order.source, task.order.destination, reason)

    def _keep_house(self) -> None:
        """Remove temporary files of failed copies, and delete old jobs, at intervals."""
        due = time.monotonic()
        while True:
            self._tidy()
            if time.monotonic() >= due:
                due += _PRUNE_INTERVAL_S
                if forgotten := self._store.prune(time.time() - self._keep_s):
                    _log.info("deleted %d ended jobs", forgotten)
            if self._stopping.wait(self._tidy_s):
                return

    def _tidy(self) -> None:
        """Try to remove temporary files of failed copies at storages that were not available."""
        for task in self._store.leftovers(_TIDIED_AT_ONCE):
            if self._stopping.is_set():
                return
            order = task.order
            try:
                is_clean = mover_for(self._movers, order.source, order.destination).clean(order)
            except InvalidRequestError:
                is_clean = True  # its URL is no longer supported, so there is nothing to retry
            if is_clean:
                self._store.tidied(task)
                _log.info("job %s: removed its temporary file for %s", task.job_id, order.destination)
            else:
                self._store.leave(task, time.time())
