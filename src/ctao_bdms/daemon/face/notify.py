"""How the daemon tells systemd how it is: a few words to a socket."""

from __future__ import annotations

import logging
import socket

import attrs

__all__ = ["Notifier"]

_LOG = logging.getLogger(__name__)

#: How much longer than a wait systemd is asked to be patient, in seconds.
_MARGIN_S = 60.0


@attrs.frozen
class Notifier:
    """Speaks the protocol of ``sd_notify``.

    Attributes
    ----------
    address
        What systemd puts into ``NOTIFY_SOCKET``; empty if nobody listens.
    """

    address: str = ""

    def waiting(self, status: str, for_s: float) -> None:
        """Say that the start takes longer, and for what it waits the next `for_s` seconds."""
        more_us = round((for_s + _MARGIN_S) * 1e6)
        self._say(f"EXTEND_TIMEOUT_USEC={more_us}\nSTATUS={' '.join(status.split())}")

    def ready(self) -> None:
        """Say that the daemon has started."""
        self._say("READY=1")

    def alive(self, status: str) -> None:
        """Say that the main loop turns, and in a line what it does; systemd's watchdog waits for it."""
        self._say(f"WATCHDOG=1\nSTATUS={' '.join(status.split())}")

    def stopping(self) -> None:
        """Say that the daemon ends."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self.address:
            return
        where = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
                speaker.connect(where)
                speaker.sendall(text.encode())
        except OSError as error:
            _LOG.warning("systemd does not listen at %s: %s", self.address, error)
