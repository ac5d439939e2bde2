"""Scan on several nodes with Dask, for a site where one node is too slow.

Dask has no time limit for a call, and cannot stop one. So each Dask worker scans in a `WorkerPool` of its own, which
can: a scan that hangs costs one process, and no thread of Dask.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import attrs

from ctao_bdms.errors import MissingExtraError, UnreachableError, WorkerLostError
from ctao_bdms.workers.pool import WorkerPool
from ctao_bdms.workers.scans import Scans, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["scans_on_nodes"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


@contextmanager
def scans_on_nodes(
    address: str,
    limit: TimeLimit | None = None,
    *,
    memory_bytes: int = 0,
    attempts: int = 3,
    timeout_s: float = 10.0,
) -> Iterator[Scans]:
    """Open scans on the workers of a Dask scheduler.

    Unfinished scans are cancelled at the end. Each node must see the files under the same paths and have this package
    installed. If a Dask worker dies, its scans are retried elsewhere, up to ``distributed.scheduler.allowed-failures``
    of the scheduler.

    Parameters
    ----------
    address
        The scheduler, e.g. ``tcp://10.0.0.1:8786``.
    memory_bytes
        The memory limit of one scan; 0 for no limit.
    attempts
        The number of processes of one node that may be lost over one file.
    timeout_s
        The timeout for the connection to the scheduler, in seconds.

    Raises
    ------
    MissingExtraError
        If ``ctao-bdms[dask]`` is not installed.
    UnreachableError
        If the scheduler does not answer.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise MissingExtraError("dask", error.name or "distributed") from error
    try:
        client = distributed.Client(address, timeout=timeout_s, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = f"the Dask scheduler at {address} does not answer: {error}"
        raise UnreachableError(msg) from error
    # Not pure: Dask would answer a repeated pure call with the old facts of the file.
    executor = client.get_executor(pure=False)
    died = (distributed.KilledWorker, distributed.comm.CommClosedError)
    nodes = _Nodes(executor, died, memory_bytes=memory_bytes, attempts=attempts)
    client.subscribe_topic("all", nodes.note)
    try:
        yield Scans(nodes, limit)
    finally:
        executor.shutdown(wait=False)
        client.close()


class _Nodes(Executor):
    """The Dask workers as an executor with time limits."""

    def __init__(
        self, dask: Executor, died: tuple[type[BaseException], ...], *, memory_bytes: int, attempts: int
    ) -> None:
        self._dask = dask
        self._died = died
        self._pool = {"memory_bytes": memory_bytes, "attempts": attempts}
        self._lock = threading.Lock()
        self._lost = 0

    @property
    def lost(self) -> int:
        """The number of lost Dask workers and lost processes so far."""
        return self._lost

    def note(self, event: tuple[float, dict[str, Any]]) -> None:
        """Count a Dask worker that the scheduler lost unexpectedly."""
        _, what = event
        if what.get("action") == "remove-worker" and not what.get("expected"):
            self._lose(1)

    def _lose(self, count: int) -> None:
        with self._lock:
            self._lost += count

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Submit a call without a time limit."""
        return self.submit_within(None, fn, *args, **kwargs)

    def submit_within(
        self, limit_s: float | None, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Submit a call with a time limit in each process."""
        outer = Future[_T]()
        inner = self._dask.submit(_call_on_node, limit_s, self._pool, fn, args, kwargs)

        def done(inner: Future[_Answer]) -> None:
            error: BaseException | None
            if inner.cancelled():
                answer, error = _Answer(), WorkerLostError(["was cancelled by its scheduler"])
            else:
                error = inner.exception()
                answer = _Answer() if error is not None else inner.result()
            self._lose(answer.lost)
            if not outer.set_running_or_notify_cancel():
                return
            if isinstance(error, self._died):
                error = WorkerLostError([f"died with its Dask worker: {error}"])
            elif answer.ends:
                error = WorkerLostError(answer.ends)
            if error is None:
                outer.set_result(answer.value)
            else:
                outer.set_exception(error)

        outer.add_done_callback(lambda outer: outer.cancelled() and inner.cancel())
        inner.add_done_callback(done)
        return outer


@attrs.frozen(kw_only=True)
class _Answer:
    """The answer of a node: the value, or how its processes ended."""

    value: Any = None
    ends: tuple[str, ...] = ()
    lost: int = 0


_lock = threading.Lock()
_pools: dict[tuple[tuple[str, int], ...], WorkerPool] = {}
_reported = 0


def _call_on_node(
    limit_s: float | None,
    settings: dict[str, int],
    fn: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> _Answer:
    """Run a call in a process of this Dask worker, with a time limit."""
    global _reported
    import distributed

    with _lock:
        key = tuple(settings.items())
        if key not in _pools:
            _pools[key] = WorkerPool(distributed.get_worker().state.nthreads, **settings)
        pool = _pools[key]
    value: object = None
    ends: tuple[str, ...] = ()
    try:
        value = pool.submit_within(limit_s, fn, *args, **kwargs).result()
    except WorkerLostError as error:
        ends = error.ends
    with _lock:
        total = sum(each.lost for each in _pools.values())
        lost, _reported = total - _reported, total
    return _Answer(value=value, ends=ends, lost=lost)
