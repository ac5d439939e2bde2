"""What a daemon still does when it was told to stop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ctao_bdms.errors import BdmsError, LeaseLostError

if TYPE_CHECKING:
    from ctao_bdms.daemon.clocks import Clocks
    from ctao_bdms.daemon.composition import Daemon

__all__ = ["drain"]

_log = logging.getLogger(__name__)

_PAUSE_S = 0.05


def drain(daemon: Daemon, *, limit_s: float, clocks: Clocks) -> None:
    """Finish what is at hand, and close the open blocks; what fails now is left to the next daemon.

    Whatever fails, no batch is under way any more at the end: the next daemon would otherwise do the same beside it.

    Parameters
    ----------
    limit_s
        How long files may still be registered, in seconds.

    Raises
    ------
    LeaseLostError
        If there is a next daemon already.
    """
    end_s = clocks.monotonic() + limit_s

    def finish() -> None:
        daemon.scan.drain()
        while clocks.monotonic() < end_s and (daemon.scan.running or daemon.register.has_due):
            daemon.loop.turn()
            clocks.sleep(_PAUSE_S)

    steps = (
        ("files at hand", finish),
        ("files that were being registered", daemon.register.finish),
        ("open blocks", daemon.replicate.close_all),
    )
    for what, step in steps:
        try:
            step()
        except LeaseLostError:
            raise
        except (BdmsError, OSError) as error:
            _log.warning("%s are left to the next daemon: %s", what, error)
