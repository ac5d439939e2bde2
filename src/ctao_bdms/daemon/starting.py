"""Wait for the storage and the machine when the daemon starts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from ctao_bdms.causes import Cause, cause_of
from ctao_bdms.errors import BdmsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.daemon.backoff import Backoff

__all__ = ["retry_at_start"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Transient causes at the start. A missing permission is not transient: an operator must repair it first.
_PASSES = frozenset({Cause.STORAGE, Cause.MACHINE, Cause.JOURNAL})


def retry_at_start(
    make: Callable[[], _T], *, backoff: Backoff, jitter: Callable[[], float], pause: Callable[[float], object]
) -> _T:
    """Call `make` until it succeeds, and return its result.

    It retries while the storage is full or read-only, or while memory is short.

    Parameters
    ----------
    jitter
        Returns random numbers from 0 to 1.
    pause
        Sleeps for a number of seconds.

    Raises
    ------
    BdmsError, OSError
        If `make` fails with an error that is not transient.

    Examples
    --------
    >>> from ctao_bdms.daemon.backoff import Backoff
    >>> retry_at_start(lambda: "made", backoff=Backoff(), jitter=lambda: 0.5, pause=lambda _: None)
    'made'
    """
    failures = 0
    while True:
        try:
            return make()
        except (BdmsError, OSError) as error:
            cause = cause_of(error)
            if cause not in _PASSES:
                raise
            failures += 1
            delay_s = backoff.delay_s(failures, jitter())
            level = logging.ERROR if failures == 1 else logging.INFO
            _log.log(level, "not started yet, waits for the %s: %s", cause, error)
        pause(delay_s)
