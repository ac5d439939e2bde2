"""Choose free ports, and keep them from one start to the next."""

from __future__ import annotations

import random
import socket

from ctao_bdms.errors import EmbeddedError

__all__ = ["listen"]

# Below the system's range of ephemeral ports, so that a port of the last start is probably free at the next.
_RANGE = range(20_000, 32_000)
_ATTEMPTS = 200


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback, on `port` if it is free, else on another port.

    Parameters
    ----------
    port
        The port of the last start; 0 if there was none.

    Raises
    ------
    EmbeddedError
        If no port is free.
    """
    for candidate in ([port] if port else []) + random.sample(_RANGE, _ATTEMPTS):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(128)
        except OSError:
            listener.close()
        else:
            return listener
    msg = f"no free port on 127.0.0.1: {_ATTEMPTS} between {_RANGE.start} and {_RANGE.stop} were tried"
    raise EmbeddedError(msg)
