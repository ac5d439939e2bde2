"""Read from a storage by HTTP, with ranges, kept connections and redirects."""

from __future__ import annotations

import errno
import http.client
import re
import threading
from collections import deque
from urllib.parse import urljoin, urlsplit

from ctao_bdms.errors import InvalidNameError, UnreachableError
from ctao_bdms.processes import PerProcess, this_process
from ctao_bdms.storage.credentials import bearer_token, tls_context

__all__ = ["HttpDoor", "HttpSource"]

_TIMEOUT_S = 30.0
_REDIRECTS = 8
#: A sequential reader gets larger and larger ranges, up to this many bytes.
_WINDOW_BYTES = 64 << 20
#: A rest of an answer up to so many bytes is read to its end; else its connection is closed.
_DRAIN_BYTES = 64 << 10
_RANGE = re.compile(r"bytes (?:(?P<begin>\d+)-(?P<end>\d+)|\*)/(?P<size>\d+)", re.ASCII)
_MOVED = {301, 302, 303, 307, 308}
_MISSING = {404: errno.ENOENT, 410: errno.ENOENT, 401: errno.EACCES, 403: errno.EACCES}
_LATER = {429, 500, 502, 503, 504}
_BROKEN = (OSError, http.client.HTTPException)


class _Free:
    """Idle connections of one process, by scheme and host, with their lock."""

    def __init__(self) -> None:
        self.connections: dict[tuple[str, str], deque[http.client.HTTPConnection]] = {}
        self.lock = threading.Lock()


class HttpDoor:
    """Opens sources by HTTP, from any thread or forked process, on kept connections."""

    def __init__(self) -> None:
        self._free = PerProcess(_Free)
        self._tls = PerProcess(tls_context)
        self._token = PerProcess(bearer_token)

    def open(self, url: str, position: int = 0, size_bytes: int | None = None) -> HttpSource:
        """Open a URL; with the expected size, request its bytes at once."""
        return HttpSource(self, url, position, size_bytes)

    def close(self) -> None:
        """Close all idle connections."""
        free = self._free.get()
        with free.lock:
            for connections in free.connections.values():
                for connection in connections:
                    connection.close()
            free.connections.clear()

    @property
    def token(self) -> str:
        """The token of the user."""
        return self._token.get()

    def take(self, scheme: str, place: str) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection, and whether it has served before."""
        free = self._free.get()
        with free.lock:
            if waiting := free.connections.get((scheme, place)):
                return waiting.pop(), True
            if scheme == "https":
                return http.client.HTTPSConnection(place, timeout=_TIMEOUT_S, context=self._tls.get()), False
        return http.client.HTTPConnection(place, timeout=_TIMEOUT_S), False

    def give(self, scheme: str, place: str, connection: http.client.HTTPConnection) -> None:
        """Take back a connection whose last answer was read to its end."""
        free = self._free.get()
        with free.lock:
            free.connections.setdefault((scheme, place), deque()).append(connection)


class HttpSource:
    """A source at a URL, read by ranges.

    Bytes are asked for in windows that grow as long as the reader goes straight on: who jumps gets what it asks for,
    who streams soon waits for nothing. Never is more asked for than there should be: XRootD 5.5 announces bytes behind
    the end of a file, and sends none at all.
    """

    def __init__(self, door: HttpDoor, url: str, position: int = 0, size_bytes: int | None = None) -> None:
        self.size_bytes = size_bytes or 0
        self._door = door
        self._url = self._first = url
        self._answer: http.client.HTTPResponse | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._place = ("", "")
        self._process = this_process()
        self._position = self._end = 0
        self._window = _WINDOW_BYTES if position else 4 << 20
        if position < self.size_bytes:
            self._ask("GET", position)
        else:
            self._ask("HEAD", position)

    def read_at(self, buffer: memoryview, position: int) -> int:
        """Read from `position` into a buffer; return the number of bytes, 0 only at the end."""
        if position >= self.size_bytes or not buffer:
            return 0
        self._leave_to_parent()
        if self._answer is None or position != self._position:
            straight_on = position == self._position
            self._window = min(2 * self._window, _WINDOW_BYTES) if straight_on else len(buffer)
            self._ask("GET", position)
        filled, length = 0, min(len(buffer), self._end - position)
        answer = self._answer
        while answer is not None and filled < length:
            filled += self._more(answer, buffer[filled:length], position + filled)
        self._position = position + filled
        if self._position >= self._end:
            self._finish()
        return filled

    def close(self) -> None:
        """Close the source."""
        self._leave_to_parent()
        self._finish()

    def _leave_to_parent(self) -> None:
        """Drop the connection in the child of a fork, as the parent reads the answer."""
        if self._process is not this_process():
            self._process = this_process()
            self._drop()

    def _more(self, answer: http.client.HTTPResponse, room: memoryview, position: int) -> int:
        """Read the next bytes of an answer, at least one."""
        try:
            count = answer.readinto(room)
        except _BROKEN as error:
            self._drop()
            raise UnreachableError(f"{self._first} breaks off at byte {position}: {_text(error)}") from error
        if not count:
            self._drop()
            raise UnreachableError(f"{self._first} ends at byte {position} of {self.size_bytes}")
        return count

    def _ask(self, method: str, position: int) -> None:
        """Request the size, or bytes from `position` on."""
        self._finish()
        try:
            answer = self._followed(method, position)
        except (ValueError, http.client.InvalidURL) as error:
            self._drop()
            raise InvalidNameError(self._url, f"it cannot be asked for: {error}") from error
        self._take(answer, method, position)

    def _followed(self, method: str, position: int) -> http.client.HTTPResponse:
        """Send the request, and follow redirects."""
        for _ in range(_REDIRECTS):
            answer = self._request(method, position)
            if answer.status not in _MOVED:
                return answer
            self._url = urljoin(self._url, answer.headers["Location"] or "")
            self._finish()
            if urlsplit(self._url).scheme not in {"http", "https"}:
                raise OSError(errno.EPROTO, f"{self._first} leads to {self._url}")
        raise OSError(errno.ELOOP, f"{self._first} leads in a circle")

    def _request(self, method: str, position: int) -> http.client.HTTPResponse:
        """Send the request; replace a connection that the server has closed."""
        url = urlsplit(self._url)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {"Accept-Encoding": "identity"}
        if method == "GET":
            headers["Range"] = f"bytes={position}-{min(position + self._window, self.size_bytes) - 1}"
        if url.scheme == "https" and url.netloc == urlsplit(self._first).netloc and self._door.token:
            headers["Authorization"] = f"Bearer {self._door.token}"
        while True:
            connection, used = self._door.take(url.scheme, url.netloc)
            try:
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
            except (http.client.InvalidURL, UnicodeError):
                connection.close()
                raise
            except _BROKEN as error:
                connection.close()
                if not used:
                    raise UnreachableError(f"{self._first} does not answer: {_text(error)}") from error
                continue
            self._answer, self._connection, self._place = answer, connection, (url.scheme, url.netloc)
            return answer

    def _take(self, answer: http.client.HTTPResponse, method: str, position: int) -> None:
        """Check an answer, and go to `position` in it."""
        said = _RANGE.fullmatch(answer.headers["Content-Range"] or "")
        length = answer.headers["Content-Length"] or ""
        if answer.status in {206, 416} and said and int(said["end"] or -1) >= int(said["size"]):
            # There is less than there should be; what such an answer holds is not what it says.
            self.size_bytes = int(said["size"])
            self._drop()
        elif answer.status == 416 and said:
            self.size_bytes = int(said["size"])
        elif answer.status == 206 and said and said["begin"] and int(said["begin"]) == position:
            self.size_bytes, self._position, self._end = int(said["size"]), position, int(said["end"]) + 1
        elif answer.status == 200 and length.isdigit():
            self.size_bytes = self._end = int(length)
            if method == "GET":
                self._skip(answer, min(position, self.size_bytes))
                self._position = position
        else:
            self._drop()
            what = f"{self._first} cannot be read: the server says {answer.status} {answer.reason}"
            if answer.status in _LATER or answer.status == 200:
                raise UnreachableError(what)
            raise OSError(_MISSING.get(answer.status, errno.EIO), what)
        if self._position >= self._end or method == "HEAD":
            self._finish()

    def _skip(self, answer: http.client.HTTPResponse, count: int) -> None:
        """Skip the first bytes of a server without ranges."""
        scratch, passed = memoryview(bytearray(1 << 20)), 0
        while passed < count:
            passed += self._more(answer, scratch[: min(count - passed, len(scratch))], passed)

    def _finish(self) -> None:
        """Free the connection; read a short rest of the answer to its end."""
        answer, connection = self._answer, self._connection
        if answer is None or connection is None:
            return
        try:
            if answer.length is not None and answer.length <= _DRAIN_BYTES:
                answer.read()
        except _BROKEN:
            self._drop()
            return
        if answer.isclosed() and not answer.will_close:
            self._answer = self._connection = None
            self._door.give(*self._place, connection)
        else:
            self._drop()

    def _drop(self) -> None:
        """Close the connection with the rest of its answer."""
        answer, connection = self._answer, self._connection
        self._answer = self._connection = None
        if answer is not None:
            answer.close()
        if connection is not None:
            connection.close()


def _text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
