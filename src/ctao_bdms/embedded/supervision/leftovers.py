"""Stop processes that an unclean stop left."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.processes import end

if TYPE_CHECKING:
    from ctao_bdms.embedded.home import Home

__all__ = ["clean"]

_LOG = logging.getLogger(__name__)
_STOP_S = 15.0


def clean(home: Home, record: RunRecord | None) -> None:
    """Stop the parts of a supervisor that was killed, found by their process ids and start times.

    They usually stop by themselves soon after it. This waits for them, and kills those that hang.

    Parameters
    ----------
    record
        The record of the dead supervisor; None if there is none.
    """
    if record is None:
        return
    for name, part in sorted(record.parts.items(), key=lambda item: item[0] == "postgres"):
        if part.alive:
            _LOG.warning("%s (process %d) is left from an unclean stop", name, part.pid)
            end(part, signal.SIGINT if name == "postgres" else signal.SIGTERM, _STOP_S)
    now = RunRecord.load(home.run_file)
    if now is not None and now.supervisor == record.supervisor:
        home.run_file.unlink(missing_ok=True)
