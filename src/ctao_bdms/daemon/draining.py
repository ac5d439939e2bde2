"""What a daemon still does when it was told to stop."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ctao_bdms.errors import BdmsError, LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.daemon.coordinator import Coordinator
    from ctao_bdms.daemon.copying import Copying
    from ctao_bdms.daemon.entering import Entering
    from ctao_bdms.daemon.reading import Reading

__all__ = ["drain"]

_log = logging.getLogger(__name__)

_PAUSE_S = 0.05


def drain(
    coordinator: Coordinator,
    reading: Reading,
    entering: Entering,
    copying: Copying,
    *,
    limit_s: float,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Finish what is at hand, and close the open blocks; what fails now is left to the next daemon.

    Whatever fails, no batch is under way any more at the end: the next daemon would otherwise do the same beside it.

    Parameters
    ----------
    coordinator, reading, entering, copying
        The loop and its stages.
    limit_s
        How long files may still be registered, in seconds.
    monotonic, pause
        The clock, and how to wait so many seconds.

    Raises
    ------
    LeaseLostError
        If there is a next daemon already.
    """
    end_s = monotonic() + limit_s

    def finish() -> None:
        reading.drain()
        while monotonic() < end_s and (reading.running or entering.has_due):
            coordinator.turn()
            pause(_PAUSE_S)

    steps = (
        ("files at hand", finish),
        ("files that were being registered", entering.finish),
        ("open blocks", copying.close_all),
    )
    for what, step in steps:
        try:
            step()
        except LeaseLostError:
            raise
        except (BdmsError, OSError) as error:
            _log.warning("%s are left to the next daemon: %s", what, error)
