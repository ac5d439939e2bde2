"""Finish the work in progress before the daemon stops."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ctao_bdms.errors import BdmsError, JournalLostError, LeaseLostError

if TYPE_CHECKING:
    from ctao_bdms.daemon.clocks import Clocks
    from ctao_bdms.daemon.composition import Daemon

__all__ = ["drain"]

_log = logging.getLogger(__name__)

_PAUSE_S = 0.05


def drain(daemon: Daemon, *, limit_s: float, clocks: Clocks) -> None:
    """Finish the files in progress, and close the open blocks.

    The next daemon repeats any step that fails here. No batch is running when this returns: otherwise the next daemon
    would register the same files at the same time.

    Parameters
    ----------
    limit_s
        The time limit for the registration of files, in seconds.

    Raises
    ------
    JournalLostError
        If the journal was removed or replaced.
    LeaseLostError
        If another daemon has taken over the lease.
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
        except (JournalLostError, LeaseLostError):
            raise
        except (BdmsError, OSError) as error:
            _log.warning("%s are left to the next daemon: %s", what, error)
