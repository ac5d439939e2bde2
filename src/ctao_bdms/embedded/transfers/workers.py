"""The threads that take files from the queue and move them."""

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
#: How many left-over files are looked after in one round: a server that hangs takes half a minute for each.
_TIDIED_AT_ONCE = 20


class Workers:
    """Threads that make the copies, and one that removes what failed copies left and forgets old jobs.

    Parameters
    ----------
    store
        Where the jobs are.
    movers
        How bytes move, by scheme.
    count
        How many copies are made at once.
    keep_s
        For how long jobs are remembered after their end, in seconds.
    on_death
        Called if a thread ends by an error that no copy can explain, e.g. a full disk under the database.
    tidy_s
        After how many seconds it is tried again to remove the temporary files of copies that failed.
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
        """Take up what an earlier service left behind, then work."""
        for order in self._store.recover():
            with contextlib.suppress(InvalidRequestError):
                mover_for(self._movers, order.source, order.destination).clean(order)
        for thread in self._threads:
            thread.start()

    def notice(self, files: int | None = None) -> None:
        """Look at the queue again, for so many files have been added, or for any other reason."""
        with self._news:
            self._news.notify(len(self._threads) if files is None else files)

    def abandon(self, file_ids: Iterable[int]) -> None:
        """Stop copying these files; their jobs have been cancelled."""
        with self._news:
            for file_id in file_ids:
                if file_id in self._cancelled:
                    self._cancelled[file_id].set()

    def stop(self, patience_s: float) -> bool:
        """Give up all copies; they are made again by the next service.

        Waits for at most `patience_s` seconds; returns True if all threads have ended.
        """
        self._stopping.set()
        self.notice()
        deadline = time.monotonic() + patience_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _guarded(self, duty: Callable[[], None]) -> None:
        """Run the duty of a thread, and tell if it ends before its time."""
        try:
            duty()
        finally:
            if not self._stopping.is_set():
                self._on_death()

    def _work(self) -> None:
        """Make one copy after the other."""
        while (taken := self._next()) is not None:
            task, cancelled = taken
            try:
                self._move(task, cancelled)
            finally:
                with self._news:
                    del self._cancelled[task.file_id]
                    # The next hop, the next source or a job for the same destination may have its turn now.
                    self._news.notify()

    def _next(self) -> tuple[Task, threading.Event] | None:
        """Wait for a file to be copied; None when it is time to stop."""
        with self._news:
            while not self._stopping.is_set():
                task = self._store.claim(time.time())
                if task is not None:
                    self._cancelled[task.file_id] = threading.Event()
                    return task, self._cancelled[task.file_id]
                self._news.wait()
        return None

    def _move(self, task: Task, cancelled: threading.Event) -> None:
        """Make one copy and note how it ended."""
        order = task.order
        try:
            mover = mover_for(self._movers, order.source, order.destination)
            moved = mover.move(order, lambda: self._stopping.is_set() or cancelled.is_set())
        except TransferAbandonedError as error:
            _log.info("job %s: gave up %s", task.job_id, order.destination)
            if error.leaves_part and cancelled.is_set():  # otherwise it is made again, under the same name
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
        """Note a copy that could not be made."""
        self._store.finish(task, time.time(), reason=reason)
        _log.warning("job %s: %s to %s: %s", task.job_id, task.order.source, task.order.destination, reason)

    def _keep_house(self) -> None:
        """Remove what failed copies left, and forget old jobs, now and then."""
        due = time.monotonic()
        while True:
            self._tidy()
            if time.monotonic() >= due:
                due += _PRUNE_INTERVAL_S
                if forgotten := self._store.prune(time.time() - self._keep_s):
                    _log.info("forgot %d jobs that had ended", forgotten)
            if self._stopping.wait(self._tidy_s):
                return

    def _tidy(self) -> None:
        """Try to remove the temporary files of copies that failed at a storage which was away then."""
        for task in self._store.leftovers(_TIDIED_AT_ONCE):
            if self._stopping.is_set():
                return
            order = task.order
            try:
                is_clean = mover_for(self._movers, order.source, order.destination).clean(order)
            except InvalidRequestError:
                is_clean = True  # this service serves its URL no longer
            if is_clean:
                self._store.tidied(task)
                _log.info("job %s: removed what it left beside %s", task.job_id, order.destination)
            else:
                self._store.leave(task, time.time())
