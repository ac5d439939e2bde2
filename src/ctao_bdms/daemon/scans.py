"""Where files are read: in processes of this machine, or on the nodes of Dask."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctao_bdms.ingest.workers import Scans, TimeLimit, WorkerPool, scans_on_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.daemon.settings import Workers

__all__ = ["scans_of"]


@contextmanager
def scans_of(workers: Workers) -> Iterator[tuple[Scans, Callable[[], int]]]:
    """Yield what reads files, on this machine or on the nodes of Dask, and what counts the workers that it lost.

    Parameters
    ----------
    workers
        The settings.

    Raises
    ------
    MissingExtraError
        If ``ctao-bdms[dask]`` is needed and not installed.
    UnreachableError
        If there is no scheduler.
    """
    if workers.dask_scheduler:
        with scans_on_nodes(workers.dask_scheduler) as scans:
            yield scans, lambda: 0  # its nannies replace them
        return
    limit = TimeLimit(base_s=workers.base_time_s, minimum_rate_bytes_per_s=workers.minimum_rate_bytes_per_s)
    pool = WorkerPool(workers.number, memory_bytes=workers.memory_bytes, attempts=workers.attempts)
    try:
        yield Scans(pool, limit), lambda: pool.lost
    finally:
        pool.shutdown(cancel_futures=True, grace_s=0.0)
