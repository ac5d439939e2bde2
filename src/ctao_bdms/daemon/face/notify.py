"""Notify systemd of the state of the daemon."""

from __future__ import annotations

import logging
import socket

import attrs

__all__ = ["Notifier"]

_LOG = logging.getLogger(__name__)

#: The margin by which the timeout of systemd exceeds a wait, in seconds.
_MARGIN_S = 60.0


@attrs.frozen
class Notifier:
    """A client of the ``sd_notify`` protocol.

    Attributes
    ----------
    address
        The value of ``NOTIFY_SOCKET``; empty without systemd.
    """

    address: str = ""

    def waiting(self, status: str, for_s: float) -> None:
        """Extend the start timeout by `for_s` seconds, with the reason as status."""
        more_us = round((for_s + _MARGIN_S) * 1e6)
        self._say(f"EXTEND_TIMEOUT_USEC={more_us}\nSTATUS={' '.join(status.split())}")

    def ready(self) -> None:
        """Report that the daemon has started."""
        self._say("READY=1")

    def alive(self, status: str) -> None:
        """Reset the watchdog of systemd, and set the status line."""
        self._say(f"WATCHDOG=1\nSTATUS={' '.join(status.split())}")

    def stopping(self) -> None:
        """Report that the daemon is stopping."""
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
