"""Scan many files on any executor."""

from __future__ import annotations

import functools
import os
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, runtime_checkable

import attrs

from ctao_bdms.errors import NoWorkerError, WorkerLostError
from ctao_bdms.integrity import scan
from ctao_bdms.model import Defect, DefectKind, FileFacts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Scans", "TimeLimit", "TimeLimitedExecutor"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


@runtime_checkable
class TimeLimitedExecutor(Protocol):
    """An executor that enforces time limits, and counts its lost workers."""

    @property
    def lost(self) -> int:
        """The number of lost workers so far."""

    def submit_within(
        self, limit_s: float | None, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Submit a call with a time limit in each worker."""


@attrs.frozen(kw_only=True)
class TimeLimit:
    """The time limit of a scan, by file size.

    Attributes
    ----------
    base_s
        The time for any file, in seconds.
    minimum_rate_bytes_per_s
        The slowest read rate that is accepted.
    """

    base_s: float = 60.0
    minimum_rate_bytes_per_s: float = 5e6

    def of(self, size_bytes: int) -> float:
        """Return the time limit for a file of a size, in seconds."""
        return self.base_s + size_bytes / self.minimum_rate_bytes_per_s


class Scans:
    """Scan files in other processes.

    Parameters
    ----------
    executor
        A `TimeLimitedExecutor` also gets the time limits; any other must end hanging workers itself.
    """

    def __init__(self, executor: Executor, limit: TimeLimit | None = None) -> None:
        self._executor = executor
        self._limit = limit or TimeLimit()

    @property
    def lost(self) -> int:
        """The number of lost workers so far, if the executor counts them."""
        return self._executor.lost if isinstance(self._executor, TimeLimitedExecutor) else 0

    def submit(
        self, path: str | os.PathLike[str], size_bytes: int = 0, *, algorithms: tuple[str, ...] = ("adler32", "sha256")
    ) -> Future[FileFacts]:
        """Submit the scan of a file, which also drops it from the page cache.

        Parameters
        ----------
        size_bytes
            The size of the file, for the time limit.
        algorithms
            The digests to compute.

        Returns
        -------
        Future[FileFacts]
            The facts as from `ctao_bdms.scan`, without the values of all headers, which would be most of the data. If
            too many workers are lost, the verdict is ``error`` with a defect of kind ``worker``. If no worker can be
            started, the kind is ``machine``. The future raises only errors of the installation.
        """
        text, outer = os.fspath(path), Future[FileFacts]()
        call = functools.partial(_scanned, text, algorithms)
        if isinstance(self._executor, TimeLimitedExecutor):
            inner = self._executor.submit_within(self._limit.of(size_bytes), call)
        else:
            inner = self._executor.submit(call)

        def done(inner: Future[FileFacts]) -> None:
            if inner.cancelled():
                outer.cancel()
            if not outer.set_running_or_notify_cancel():
                return
            error = inner.exception()
            if error is None:
                outer.set_result(inner.result())
            elif isinstance(error, WorkerLostError | BrokenExecutor):
                outer.set_result(_nothing_known(text, DefectKind.WORKER, error))
            elif isinstance(error, NoWorkerError):
                outer.set_result(_nothing_known(text, DefectKind.MACHINE, error))
            else:
                outer.set_exception(error)

        outer.add_done_callback(lambda outer: outer.cancelled() and inner.cancel())
        inner.add_done_callback(done)
        return outer


def _scanned(path: str, algorithms: tuple[str, ...]) -> FileFacts:
    """Scan a file, in the worker."""
    return scan(path, algorithms, keep_cached=False).without_headers()


def _nothing_known(path: str, kind: DefectKind, error: BaseException) -> FileFacts:
    """Return the facts of a file that could not be scanned."""
    defect = Defect(kind, f"{path} could not be scanned: {error}")
    return FileFacts(path=path, size_bytes=0, modified_ns=0, digests={}, defects=(defect,))
