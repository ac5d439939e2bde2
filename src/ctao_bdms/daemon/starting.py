"""The start of the daemon: what is out for a while is waited for, as it is when it works."""

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

#: What a start needs of the world. A right that is missing is none of it: somebody must change something first.
_PASSES = frozenset({Cause.STORAGE, Cause.MACHINE, Cause.JOURNAL})


def retry_at_start(
    make: Callable[[], _T], *, backoff: Backoff, jitter: Callable[[], float], pause: Callable[[float], object]
) -> _T:
    """Return what `make` returns, however long a storage that is full or read-only, or a lack of memory, keeps it.

    Parameters
    ----------
    make
        What is tried.
    backoff
        How long to wait before the next try.
    jitter
        Gives random numbers from 0 to 1.
    pause
        Waits so many seconds.

    Raises
    ------
    BdmsError, OSError
        What `make` raises for a reason that does not pass by itself.

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
