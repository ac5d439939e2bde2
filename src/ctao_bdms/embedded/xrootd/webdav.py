"""An HTTP client for storage elements: WebDAV, digests, and third-party copies (HTTP-TPC)."""

from __future__ import annotations

import contextlib
import errno
import http.client
import re
import socket
import threading
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from ctao_bdms.errors import BdmsError
from ctao_bdms.storage import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["StorageError", "WebDav"]

_SILENCE_S = 30.0
_BUFFER_BYTES = 1 << 20
_VERDICTS = ("success", "failure", "error", "aborted")
_CODES = {403: errno.EACCES, 404: errno.ENOENT, 409: errno.EISDIR, 412: errno.EEXIST, 507: errno.ENOSPC}
_MEANINGS = {404: "File not found", 409: "The resource is a folder", 412: "File exists"}


class StorageError(BdmsError, OSError):
    """A request to a storage element failed.

    Parameters
    ----------
    code
        The `errno` of the failure.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class WebDav:
    """Requests to storage elements.

    Parameters
    ----------
    silence_s
        The timeout of a silent server, in seconds.
    """

    def __init__(self, *, silence_s: float = _SILENCE_S) -> None:
        self._silence_s = silence_s
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False

    def cut(self) -> None:
        """Abort the current request, from another thread; further requests fail."""
        with self._lock:
            self._is_cut = True
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def size(self, url: str) -> int:
        """Return the size of a file in bytes.

        Raises
        ------
        StorageError
            If there is no such file. As in all methods: if the server does not answer, or refuses.
        """
        with self._answer("HEAD", url) as answer:
            return _length(answer)

    def exists(self, url: str) -> bool:
        """Return whether the file exists."""
        try:
            self.size(url)
        except StorageError as error:
            if error.code == errno.ENOENT:
                return False
            raise
        return True

    def adler32(self, url: str, size_bytes: int) -> str:
        """Return the Adler-32 computed by the server for a file of that size, as eight hexadecimal digits."""
        patience_s = Patience(self._silence_s).for_file(size_bytes)
        with self._answer("HEAD", url, {"Want-Digest": "adler32"}, patience_s=patience_s) as answer:
            found = re.search(r"(?:^|,)\s*adler32=([0-9a-f]{1,8})\s*(?:,|$)", answer.headers.get("Digest", ""), re.I)
            if found is None:
                raise StorageError(errno.ENOTSUP, "The storage does not support ADLER32")
            return found[1].lower().zfill(8)

    def make_folder(self, url: str) -> None:
        """Create a folder and its parents; no effect if it exists."""
        with self._answer("MKCOL", url, accept=(405,)):
            return

    def delete(self, url: str) -> None:
        """Delete a file.

        Raises
        ------
        StorageError
            If it does not exist, or cannot be deleted.
        """
        with self._answer("DELETE", url):
            return

    def move(self, url: str, to: str) -> None:
        """Rename a file on the same server; replaces an existing file."""
        with self._answer("MOVE", url, {"Destination": to}):
            return

    def pull(self, source: str, destination: str) -> None:
        """Make the destination's server copy a new file from the source's.

        Raises
        ------
        StorageError
            If the copy fails; an incomplete file remains.
        """
        headers = {"Source": source, "Overwrite": "F", "Credential": "none"}
        with self._answer("COPY", destination, headers) as answer:
            # The HTTP status is sent at the beginning; the result is in the last line, after progress reports.
            verdict = ""
            for line in answer:
                text = line.decode("utf-8", "replace").strip()
                if text.lower().startswith(_VERDICTS):
                    verdict = text
        if not verdict.lower().startswith("success"):
            raise StorageError(_code_of(verdict), verdict or "The storage stopped during the copy")

    def fetch(self, url: str, write: Callable[[bytes], object]) -> int:
        """Pass the bytes of a file to `write`, in pieces; return their number.

        Raises
        ------
        StorageError
            If there are fewer than the declared size.
        """
        done = 0
        with self._answer("GET", url) as answer:
            promised = _length(answer)
            while piece := answer.read(_BUFFER_BYTES):
                try:
                    write(piece)
                except OSError as error:
                    raise StorageError(
                        error.errno or errno.EIO, f"The local file cannot be written: {error}"
                    ) from error
                done += len(piece)
        if done != promised:
            raise StorageError(errno.EIO, f"Only {done} of {promised} bytes were received")
        return done

    def store(self, url: str, stream: IO[bytes], size_bytes: int) -> None:
        """Write a file and its parent folders; replaces an existing file."""
        with self._answer("PUT", url, {"Content-Length": str(size_bytes)}, body=stream):
            return

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: IO[bytes] | None = None,
        accept: tuple[int, ...] = (),
        patience_s: float | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Make a request; yield the response if it is a success or its status is in `accept`."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=patience_s or self._silence_s
        )
        try:
            with self._open_line(connection):
                connection.request(method, parts.path, body=body, headers=dict(headers or {}))
                with contextlib.closing(connection.getresponse()) as answer:
                    if not 200 <= answer.status < 300 and answer.status not in accept:
                        raise _refusal(answer)
                    yield answer
        except TimeoutError as error:
            raise StorageError(errno.ETIMEDOUT, "The server does not answer") from error
        except (ConnectionRefusedError, socket.gaierror) as error:
            raise StorageError(errno.ECONNREFUSED, "Could not connect to server") from error
        except StorageError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise StorageError(errno.ECONNRESET, "The server closed the connection") from error
        finally:
            connection.close()

    @contextlib.contextmanager
    def _open_line(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        """Connect, and register the socket for `cut` while it is open."""
        connection.connect()
        line = connection.sock
        with self._lock:
            if self._is_cut:
                raise ConnectionAbortedError(errno.ECONNABORTED, "cut")
            self._open.add(line)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(line)


def _length(answer: http.client.HTTPResponse) -> int:
    """Return the size of the file in a response."""
    text = answer.headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()):
        raise StorageError(errno.EPROTO, f"The storage does not return the size of the file (Content-Length: {text!r})")
    return int(text)


def _refusal(answer: http.client.HTTPResponse) -> StorageError:
    """Return the error for a response that is not a success."""
    text = _MEANINGS.get(answer.status) or answer.read(1000).decode("utf-8", "replace").strip() or answer.reason
    return StorageError(_CODES.get(answer.status) or _code_of(text), f"HTTP {answer.status} : {text}")


def _code_of(text: str) -> int:
    """Return the `errno` for the message of a server."""
    lower = text.lower()
    known = {
        "no space left": errno.ENOSPC,
        "disk full": errno.ENOSPC,
        "quota exceeded": errno.EDQUOT,
        "file too large": errno.EFBIG,
        "status code 404": errno.ENOENT,
    }
    return next((code for words, code in known.items() if words in lower), errno.EIO)
