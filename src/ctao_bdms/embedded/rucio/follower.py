"""The process of an embedded Rucio that replicates new blocks: ``python -m`` this module."""

from __future__ import annotations

import datetime as dt
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.errors import UnreachableError
from ctao_bdms.replication import Follower, Policy, Replication

if TYPE_CHECKING:
    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.replication import Action

__all__ = ["follow"]

_LOG = logging.getLogger(__name__)
_PAUSE_S = 1.0


def follow(config: Path, stop: threading.Event) -> None:
    """Replicate new blocks until `stop`; retry while the server does not answer.

    Parameters
    ----------
    config
        The ``rucio.cfg`` of the account that owns the rules.
    stop
        Stops it after the current step.
    """
    follower: Follower | None = None
    while not stop.wait(_PAUSE_S):
        try:
            if follower is None:
                catalogue = RucioCatalogue.connect(config)
                replication = Replication(catalogue, Policy.load(), lambda: dt.datetime.now(dt.UTC))
                follower = Follower(replication, on_rule=_say, on_refused=_refused)
            follower.step()
        except UnreachableError as error:
            _LOG.warning("%s", error)


def _say(block: object, expression: str) -> None:
    _LOG.info("requested a copy of %s in %s", block, expression)


def _refused(action: Action, error: CatalogueError) -> None:
    """Log the failure of one rule; the next full comparison retries it."""
    _LOG.warning("%s in %s: %s", action.did, action.rse_expression, error)


def _main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    # Rucio's client logs errors that it then raises; they are logged here.
    logging.getLogger("ctao_bdms.catalogue.rucio.login").setLevel(logging.CRITICAL)
    _LOG.setLevel(logging.INFO)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signum, _frame: stop.set())
    follow(Path(sys.argv[1]), stop)


if __name__ == "__main__":
    _main()
