"""Open the scans of files: in local processes or on Dask nodes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctao_bdms.workers import Scans, TimeLimit, WorkerPool, scans_on_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.daemon.config import Workers

__all__ = ["open_scans"]


@contextmanager
def open_scans(workers: Workers) -> Iterator[Scans]:
    """Open scans in local processes, or on Dask nodes if there is a scheduler.

    Raises
    ------
    MissingExtraError
        If ``ctao-bdms[dask]`` is needed and not installed.
    UnreachableError
        If the scheduler does not answer.
    """
    limit = TimeLimit(base_s=workers.base_time_s, minimum_rate_bytes_per_s=workers.minimum_rate_bytes_per_s)
    memory_bytes, attempts = workers.memory_bytes, workers.attempts
    if workers.dask_scheduler:
        with scans_on_nodes(workers.dask_scheduler, limit, memory_bytes=memory_bytes, attempts=attempts) as scans:
            yield scans
        return
    pool = WorkerPool(workers.number, memory_bytes=memory_bytes, attempts=attempts)
    try:
        yield Scans(pool, limit)
    finally:
        pool.shutdown(cancel_futures=True, grace_s=0.0)
