"""Whether a service on loopback answers."""

from __future__ import annotations

import http.client
import socket

__all__ = ["accepts", "ping"]

_ANSWER_S = 2.0


def ping(port: int) -> str | None:
    """Return None if Rucio's server answers, else why not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/ping")
        answer = connection.getresponse()
        return None if answer.status == http.HTTPStatus.OK else f"HTTP {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


def accepts(port: int) -> str | None:
    """Return None if somebody listens on `port`, else why not."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S).close()
    except OSError as error:
        return str(error)
    return None
