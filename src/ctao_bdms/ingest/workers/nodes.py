"""Scans on several nodes, by Dask: for a site where one node cannot read as fast as the telescopes write."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctao_bdms.errors import MissingExtraError, UnreachableError
from ctao_bdms.ingest.workers.scans import Scans

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["scans_on_nodes"]


@contextmanager
def scans_on_nodes(address: str, *, timeout_s: float = 10.0) -> Iterator[Scans]:
    """Scan on the workers of a Dask scheduler.

    Each node must see the files under the same paths and have this package installed. A scan whose worker dies is done
    again elsewhere, as often as the scheduler's ``distributed.scheduler.allowed-failures`` says. Dask has no limit of
    time: a worker that hangs is the business of its nanny.

    Parameters
    ----------
    address
        The scheduler, e.g. ``tcp://10.0.0.1:8786``.
    timeout_s
        How long it may take to answer, in seconds.

    Yields
    ------
    Scans
        The scans; at the end, those that are not done are cancelled.

    Raises
    ------
    MissingExtraError
        If ``ctao-bdms[dask]`` is not installed.
    UnreachableError
        If there is no scheduler.
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
    # Not pure: a pure call with the same arguments would be answered with the facts of the last time.
    executor = client.get_executor(pure=False)
    try:
        yield Scans(executor, lost=(distributed.KilledWorker, distributed.comm.CommClosedError))
    finally:
        executor.shutdown(wait=False)
        client.close()
