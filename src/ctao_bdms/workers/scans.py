"""The scans of many files, on whatever executes calls."""

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
    """An executor that ends workers which take too long, and says how many it has lost."""

    @property
    def lost(self) -> int:
        """How many workers were lost so far."""

    def submit_within(
        self, limit_s: float | None, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Make a call that may take a limited time in each worker."""


@attrs.frozen(kw_only=True)
class TimeLimit:
    """How long the scan of a file may take, by its size.

    Attributes
    ----------
    base_s
        The time for any file, in seconds.
    minimum_rate_bytes_per_s
        The slowest reading that is still taken for work.
    """

    base_s: float = 60.0
    minimum_rate_bytes_per_s: float = 5e6

    def of(self, size_bytes: int) -> float:
        """Return the limit for a file of that size, in seconds."""
        return self.base_s + size_bytes / self.minimum_rate_bytes_per_s


class Scans:
    """Scans files in other processes.

    Parameters
    ----------
    executor
        What executes the scans. A `TimeLimitedExecutor` also gets the time limits; any other must end hanging
        workers itself.
    limit
        The limit of time.
    """

    def __init__(self, executor: Executor, limit: TimeLimit | None = None) -> None:
        self._executor = executor
        self._limit = limit or TimeLimit()

    @property
    def lost(self) -> int:
        """How many workers were lost so far, if the executor counts them."""
        return self._executor.lost if isinstance(self._executor, TimeLimitedExecutor) else 0

    def submit(
        self, path: str | os.PathLike[str], size_bytes: int = 0, *, algorithms: tuple[str, ...] = ("adler32", "sha256")
    ) -> Future[FileFacts]:
        """Have a file scanned; what it leaves in the page cache is dropped.

        Parameters
        ----------
        path
            The file.
        size_bytes
            Its size, for the limit of time.
        algorithms
            The digests to make.

        Returns
        -------
        Future[FileFacts]
            The facts, as of `ctao_bdms.scan`, without the values of every header: they are most of what would have to
            travel, and to be kept. A scan over which the workers were lost again and again has the verdict
            ``error`` and a defect of the kind ``worker``; one that no worker could be started for, of the kind
            ``machine``. The future raises only what is wrong with the installation.
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
    """Return the facts of a file over which workers were lost, or that no worker could be started for."""
    defect = Defect(kind, f"{path} could not be scanned: {error}")
    return FileFacts(path=path, size_bytes=0, modified_ns=0, digests={}, defects=(defect,))
