"""The messages between pool and worker: pickles, each preceded by its length.

The pool never waits for the rest of a message: a worker may be stopped in the middle of one.
"""

from __future__ import annotations

import pickle
import struct
from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import BdmsError

if TYPE_CHECKING:
    import socket

__all__ = ["Inbound", "pack", "portable", "receive"]

_LENGTH = struct.Struct("!Q")
_PIECE = 1 << 18


def pack(message: object) -> bytes:
    """Serialise a message."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def receive(connection: socket.socket) -> Any:  # noqa: ANN401 - whatever was sent
    """Wait for one message.

    Raises
    ------
    EOFError
        If the other end is closed.
    """
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return pickle.loads(_exactly(connection, length))


def _exactly(connection: socket.socket, count: int) -> bytes:
    piece = connection.recv(count, 0x100)  # MSG_WAITALL
    if len(piece) < count:
        raise EOFError
    return piece


def portable(error: BaseException) -> BaseException:
    """Return `error` if it can be pickled, or else an error with the same text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - another package's exception may fail in any way
        return BdmsError(f"{type(error).__name__}: {error}")
    return error


class Inbound:
    """Assemble messages from a non-blocking connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bytes = bytearray()
        self.closed = False

    def take(self) -> list[Any]:
        """Return the complete messages without waiting; set `closed` at the end."""
        try:
            while piece := self._connection.recv(_PIECE):
                self._bytes += piece
            self.closed = True
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.closed = True
        messages = []
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                break
            messages.append(pickle.loads(self._bytes[_LENGTH.size : end]))
            del self._bytes[:end]
        return messages
