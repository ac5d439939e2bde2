"""Read from a storage by the XRootD protocol, with XRootD's Python bindings."""

from __future__ import annotations

import errno
from typing import Any

from ctao_bdms.errors import MissingExtraError, UnreachableError

try:
    from XRootD import client
    from XRootD.client.flags import OpenFlags
except ImportError as error:
    raise MissingExtraError("xrootd", "XRootD") from error

__all__ = ["XrootdSource"]

_TIMEOUT_S = 30
# What the server says (XProtocol.hh), and what the client finds without it (XrdClStatus.hh).
_SERVER_SAYS = 400
_ERRNOS = {3010: errno.EACCES, 3011: errno.ENOENT, 3016: errno.EISDIR}
_NO_CONNECTION = range(100, 300)

# By default a client waits two minutes for a connection, five times; there are other copies.
for _name, _value in (("ConnectionWindow", 10), ("ConnectionRetry", 1), ("StreamErrorWindow", 10)):
    client.EnvPutInt(_name, _value)


class XrootdSource:
    """A source at a ``root://`` URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._file = client.File()
        self._checked(self._file.open(url, OpenFlags.READ, timeout=_TIMEOUT_S), "opened")
        try:
            self.size_bytes = int(self._checked(self._file.stat(timeout=_TIMEOUT_S), "looked at").size)
        except OSError:
            self.close()
            raise

    def read_at(self, buffer: memoryview, position: int) -> int:
        """Read from `position` into a buffer; return the number of bytes, 0 only at the end."""
        if position >= self.size_bytes:
            return 0
        answer = self._file.read(position, len(buffer), timeout=_TIMEOUT_S)
        data: bytes = self._checked(answer, f"read at byte {position}")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the source."""
        self._file.close(timeout=_TIMEOUT_S)

    def _checked(self, answer: tuple[Any, Any], what: str) -> Any:  # noqa: ANN401 - the bindings have no types
        """Return the answer, or raise its error."""
        status, value = answer
        if status.ok:
            return value
        text = f"{self._url} cannot be {what}: {str(status.message).strip()}"
        if status.code in _NO_CONNECTION:
            raise UnreachableError(text)
        raise OSError(_ERRNOS.get(status.errno, errno.EIO) if status.code == _SERVER_SAYS else errno.EIO, text)
