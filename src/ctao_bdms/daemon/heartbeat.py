"""The heartbeat of the loop: for other daemons, for Prometheus and for systemd."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ctao_bdms.errors import LeaseLostError

if TYPE_CHECKING:
    from ctao_bdms.daemon.context import StageContext
    from ctao_bdms.daemon.face import Notifier
    from ctao_bdms.daemon.lease import Lease

__all__ = ["BEAT_S", "Heartbeat"]

_log = logging.getLogger(__name__)

#: The period of the lease heartbeat, in seconds; the service shortens it for a short lease timeout.
BEAT_S = 5.0


class Heartbeat:
    """Show that the loop is alive."""

    def __init__(self, context: StageContext, lease: Lease, notifier: Notifier) -> None:
        self._metrics = context.metrics
        self._clocks = context.clocks
        self._lease = lease
        self._notifier = notifier
        self._shown_s = self._clocks.monotonic()
        self._is_mute = False

    @property
    def age_s(self) -> float:
        """Time since the last turn of the loop, in seconds."""
        return self._clocks.monotonic() - self._shown_s

    def beat(self) -> None:
        """Write the lease if its period has passed.

        A failure is only logged, once: the stages check the lease before each write, so they meet the same failure and
        wait.

        Raises
        ------
        LeaseLostError
            If another daemon has taken over the lease.
        """
        try:
            if self._lease.beat():
                self._is_mute = False
        except LeaseLostError:
            raise
        except OSError as error:
            if not self._is_mute:
                _log.warning("the lease cannot be written: %s", error)
            self._is_mute = True

    def turned(self) -> None:
        """Report the end of a turn."""
        self._show(", ".join(f"{count} {state}" for state, count in self._metrics.files.items() if count))

    def recovering(self) -> None:
        """Write the lease, and report progress during a long recovery."""
        self.beat()
        if self.age_s >= BEAT_S:
            self._show("ends what a predecessor has begun")

    def _show(self, status: str) -> None:
        self._shown_s = self._clocks.monotonic()
        self._metrics.beat(self._clocks.now().timestamp())
        self._notifier.alive(status)
