"""A storage element that is written by HTTP (WebDAV), as those of XRootD and dCache.

The storage itself makes the Adler-32 of what has arrived (RFC 3230). XRootD 5.5 replaces what has the name that a file
is moved to, whatever the header Overwrite says. So the name is looked at right before; two uploads of different bytes
under one name that both pass there within the same moment are not told apart.

There are no locks. A claim is a young file of its own in the folder. Who takes back what nobody will register first
moves it out of the way, and then looks for claims: whoever claimed before sees the bytes come back, whoever claims
after it does not find them, and brings its own.
"""

from __future__ import annotations

import datetime as dt
import http.client
import re
import secrets
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import attrs

from ctao_bdms.errors import UploadError
from ctao_bdms.integrity import FileDigests
from ctao_bdms.overriding import override
from ctao_bdms.storage.credentials import bearer_token, tls_context
from ctao_bdms.storage.sinks import Claim, PartialFile, Sink, temporary_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ctao_bdms.model import Lfn

__all__ = ["Patience", "WebDavSink"]

_PIECE_BYTES = 1 << 20
#: An upload that has written nothing for so long is dead.
_LEFT_AFTER = dt.timedelta(hours=1)
#: How the names of claims begin.
_CLAIM_PREFIX = ".bdms-claim-"
_DIGEST = re.compile(r"adler32=([0-9a-fA-F]{1,8})(?:,|\Z)", re.ASCII)


@attrs.frozen
class Patience:
    """Timeouts for a storage that does not answer.

    Attributes
    ----------
    silence_s
        How long, if it has nothing to read for its answer, in seconds.
    slowest_bytes_per_s
        A server that reads a file, as for its digest, is waited for as long as it is not slower than this.

    Examples
    --------
    >>> Patience().for_file(10_000_000_000)
    560.0
    """

    silence_s: float = 60.0
    slowest_bytes_per_s: float = 20e6

    def for_file(self, size_bytes: int) -> float:
        """Return the timeout for a server that must read a file of that size first, in seconds."""
        return self.silence_s + size_bytes / self.slowest_bytes_per_s


_PATIENCE = Patience()


class WebDavSink(Sink):
    """A storage element that is written by HTTP.

    Parameters
    ----------
    url
        The URL in front of the names of its files, without a slash at the end.
    patience
        How long it may say nothing.
    """

    def __init__(self, url: str, patience: Patience = _PATIENCE) -> None:
        self._url = urlsplit(url)
        self._patience = patience

    @override
    def stored(self, lfn: Lfn) -> FileDigests | None:
        return self.digests(self._path(lfn))

    @override
    def age_s(self, lfn: Lfn) -> float:
        """Return the age of a product's file by the clock of the storage, in seconds."""
        ages = self._ages(self._path(lfn), depth="0")
        return next(iter(ages.values()), dt.timedelta()).total_seconds()

    @override
    def remove(self, lfn: Lfn) -> None:
        self.delete(self._path(lfn))

    @override
    @contextmanager
    def claim(self, lfn: Lfn) -> Iterator[WebDavClaim]:
        claim = WebDavClaim(self, f"{self._folder(lfn)}/{_CLAIM_PREFIX}{secrets.token_hex(4)}.part")
        claim.renew()
        try:
            yield claim
        finally:
            self.delete(claim.path)

    @override
    def take_back(self, lfn: Lfn, is_known: Callable[[], bool]) -> bool:
        path = self._path(lfn)
        if self.size(path) is None:
            return True
        if self._is_claimed(lfn):
            return False
        aside = f"{self._folder(lfn)}/{temporary_prefix(lfn)}{secrets.token_hex(4)}.part"
        self.move(path, aside)
        if self._is_claimed(lfn) or is_known():
            self.move(aside, path)
            return False
        self.delete(aside)
        return True

    def _is_claimed(self, lfn: Lfn) -> bool:
        ages = self._ages(f"{self._folder(lfn)}/", depth="1")
        return any(name.startswith(_CLAIM_PREFIX) and age < _LEFT_AFTER for name, age in ages.items())

    @override
    def tidy(self, lfn: Lfn) -> None:
        """Remove temporary files of dead attempts: those that are an hour old."""
        folder = self._folder(lfn)
        for name, age in self._ages(f"{folder}/", depth="1").items():
            if name.startswith((temporary_prefix(lfn), _CLAIM_PREFIX)) and age >= _LEFT_AFTER:
                self.delete(f"{folder}/{name}")

    @override
    @contextmanager
    def write(self, source: Path, lfn: Lfn, on_bytes: Callable[[int], object]) -> Iterator[WebDavPartialFile]:
        target = self._path(lfn)
        temporary = f"{self._folder(lfn)}/{temporary_prefix(lfn)}{secrets.token_hex(4)}.part"
        try:
            self.upload(source, temporary, on_bytes)
            yield WebDavPartialFile(self, temporary, target)
        finally:
            self.delete(temporary)

    def upload(self, source: Path, path: str, on_bytes: Callable[[int], object]) -> None:
        """Send a file; the storage makes its folders."""

        def pieces() -> Iterator[bytes]:
            with source.open("rb") as stream:
                while piece := stream.read(_PIECE_BYTES):
                    yield piece
                    on_bytes(len(piece))

        size_bytes = source.stat().st_size
        headers = {"Content-Length": str(size_bytes)}
        self.ask("PUT", path, {200, 201, 204}, headers, pieces(), size_bytes=size_bytes)

    def size(self, path: str) -> int | None:
        """Return the size as the storage says it, in bytes; None if there is nothing.

        Raises
        ------
        UploadError
            If it does not say it.
        """
        answer, _ = self.ask("HEAD", path, {200, 404})
        if answer.status == http.HTTPStatus.NOT_FOUND:
            return None
        length = answer.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise UploadError(path, f"the storage {self._url.netloc} does not say its size")
        return int(length)

    def digests(self, path: str) -> FileDigests | None:
        """Return size and Adler-32 as the storage says them, which may read all of it first; None if there is nothing.

        Raises
        ------
        UploadError
            If it does not say them.
        """
        size_bytes = self.size(path)
        if size_bytes is None:
            return None
        answer, _ = self.ask("HEAD", path, {200, 404}, {"Want-Digest": "adler32"}, size_bytes=size_bytes)
        if answer.status == http.HTTPStatus.NOT_FOUND:
            return None
        said = _DIGEST.search(answer.headers.get("Digest", ""))
        if said is None:
            raise UploadError(path, f"the storage {self._url.netloc} does not say its Adler-32")
        return FileDigests(size_bytes, {"adler32": said[1].lower().zfill(8)})

    def move(self, path: str, target: str) -> bool:
        """Rename a file; False if the new name exists."""
        if self.size(target) is not None:
            return False
        destination = f"{self._url.scheme}://{self._url.netloc}{quote(target)}"
        answer, _ = self.ask(
            "MOVE", path, {200, 201, 204, 403, 405, 409, 412, 500}, {"Destination": destination, "Overwrite": "F"}
        )
        if answer.status in {200, 201, 204}:
            return True
        # Storages differ in how they say that the name is taken: look.
        if self.size(target) is None:
            raise UploadError(target, f"the storage {self._url.netloc} refuses the name: {_said(answer)}")
        return False

    def delete(self, path: str) -> None:
        """Remove a file, if it exists."""
        self.ask("DELETE", path, {200, 202, 204, 404})

    def ask(
        self,
        method: str,
        path: str,
        good: set[int],
        headers: Mapping[str, str] | None = None,
        body: Iterator[bytes] | None = None,
        size_bytes: int = 0,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Make a request and return the answer with its body; `size_bytes` is what the storage handles for it first.

        Raises
        ------
        UploadError
            If the storage does not answer, or with another status than the `good` ones.
        """
        connection, allowed = self._connection()
        try:
            connection.request(method, quote(path), body=body, headers={**(headers or {}), **allowed})
            connection.sock.settimeout(self._patience.for_file(size_bytes))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise UploadError(path, f"the storage {self._url.netloc} does not answer a {method}: {error}") from error
        finally:
            connection.close()
        if answer.status not in good:
            raise UploadError(path, f"the storage {self._url.netloc} answers a {method} with {_said(answer)}")
        return answer, content

    def _connection(self) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        """Return a connection, and the headers that say who asks: a token goes over TLS only."""
        if self._url.scheme != "https":
            return http.client.HTTPConnection(self._url.netloc, timeout=self._patience.silence_s), {}
        token = bearer_token()
        secure = http.client.HTTPSConnection(self._url.netloc, timeout=self._patience.silence_s, context=tls_context())
        return secure, {"Authorization": f"Bearer {token}"} if token else {}

    def _path(self, lfn: Lfn) -> str:
        return self._url.path + lfn.text

    def _folder(self, lfn: Lfn) -> str:
        return self._path(lfn).rpartition("/")[0]

    def _ages(self, path: str, depth: str) -> dict[str, dt.timedelta]:
        """Return how old the files of a folder, or one file, are by their names, by the clock of the storage."""
        answer, content = self.ask("PROPFIND", path, {207, 404}, {"Depth": depth, "Content-Length": "0"})
        if answer.status == http.HTTPStatus.NOT_FOUND:
            return {}
        now = parsedate_to_datetime(answer.headers["Date"]) if "Date" in answer.headers else dt.datetime.now(dt.UTC)
        ages = {}
        for row in ElementTree.fromstring(content).iter("{DAV:}response"):
            name = (row.findtext("{DAV:}href") or "").rstrip("/").rpartition("/")[2]
            written = row.findtext(".//{DAV:}getlastmodified")
            if written:
                ages[name] = now - _instant(written)
        return ages


class WebDavClaim(Claim):
    """A claim: a young, empty file."""

    def __init__(self, sink: WebDavSink, path: str) -> None:
        self._sink = sink
        self.path = path

    @override
    def renew(self) -> None:
        """Write the file again, to renew its age."""
        self._sink.ask("PUT", self.path, {200, 201, 204}, {"Content-Length": "0"})


class WebDavPartialFile(PartialFile):
    """Bytes under a temporary name."""

    def __init__(self, sink: WebDavSink, temporary: str, target: str) -> None:
        self._sink = sink
        self._temporary = temporary
        self._target = target

    @override
    def read_back(self) -> FileDigests:
        """Return size and Adler-32, as the storage has read them."""
        found = self._sink.digests(self._temporary)
        if found is None:
            raise UploadError(self._temporary, "it has gone from the storage since it was sent")
        return found

    @override
    def commit(self) -> bool:
        return self._sink.move(self._temporary, self._target)


def _instant(text: str) -> dt.datetime:
    """Return a time of a storage: in the form of HTTP, or of ISO 8601."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _said(answer: http.client.HTTPResponse) -> str:
    return f"{answer.status} {answer.reason}"
