"""The mover for ``http://``: the destination's server copies the file from the source's (HTTP-TPC)."""

from __future__ import annotations

import contextlib
import errno
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ctao_bdms.embedded.transfers.refusals import InvalidRequestError, TransferAbandonedError, TransferFailedError
from ctao_bdms.embedded.xrootd.webdav import StorageError, WebDav

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.embedded.transfers.jobs import Order

__all__ = ["ThirdPartyMover"]

_HOSTS = {"127.0.0.1", "localhost"}
_WATCH_S = 0.1
#: The end at which a copy failed, by XRootD's message.
_ENDS = {"Error when interacting with local filesystem": "DESTINATION", "Remote side failed": "SOURCE"}
_UNTIDY = {"", ".", ".."}


class ThirdPartyMover:
    """Makes local servers copy files from each other; no byte passes through this service.

    Parameters
    ----------
    silence_s
        The timeout of a silent server, in seconds.
    """

    def __init__(self, *, silence_s: float = 30.0) -> None:
        self._silence_s = silence_s

    def check(self, url: str) -> None:
        """Raise for a URL that can never be served.

        Raises
        ------
        InvalidRequestError
            If it is on another host, or not the URL of a file.
        """
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidRequestError(f"{url!r} is not a URL: {error}") from error
        if host not in _HOSTS:
            raise InvalidRequestError(f"{url!r} names the host {host!r}; only localhost can be served")
        if "@" in parts.netloc or parts.query or parts.fragment or not url.isascii() or not url.isprintable():
            raise InvalidRequestError(f"{url!r} has other parts than host, port and path")
        steps = parts.path.lstrip("/").split("/")
        if " " in url or _UNTIDY & set(steps):
            raise InvalidRequestError(f"{url!r} is not the normalised URL of a file")

    def move(self, order: Order, abandoned: Callable[[], bool]) -> int:
        """Make and verify one copy.

        The servers report digests: the source before the copy, the destination after it. The copy has a temporary name
        until its digest is verified. So a failed copy is never visible, and never damages an existing file.

        Parameters
        ----------
        abandoned
            Called repeatedly; the copy is abandoned once it returns True.

        Returns
        -------
        int
            The size in bytes.

        Raises
        ------
        TransferFailedError
            If the copy failed.
        TransferAbandonedError
            If it was abandoned.
        """
        if order.checksum is not None and order.checksum.algorithm != "adler32":
            text = f"The storages support ADLER32 only, not {order.checksum.algorithm.upper()}"
            raise TransferFailedError("TRANSFER", errno.ENOTSUP, text)
        storage = WebDav(silence_s=self._silence_s)
        try:
            with _watched(abandoned, storage.cut):
                return self._move(storage, order)
        except TransferFailedError as error:
            if order.resumed:  # an earlier attempt may have left it, even if this one did not get so far
                error.leaves_part = not self.clean(order)
            if abandoned():  # it failed because the request was cut
                given_up = TransferAbandonedError()
                given_up.leaves_part = error.leaves_part
                raise given_up from None
            raise

    def clean(self, order: Order) -> bool:
        """Remove the temporary file of an interrupted copy; return whether none is left."""
        try:
            WebDav(silence_s=self._silence_s).delete(_part(order))
        except StorageError as error:
            return error.code == errno.ENOENT
        return True

    def _move(self, storage: WebDav, order: Order) -> int:
        """Make and verify one copy."""
        with _trouble("SOURCE"):
            size = storage.size(order.source)
            if order.size_bytes is not None and size != order.size_bytes:
                text = f"Source and user-defined file size mismatch {size} <> {order.size_bytes}"
                raise TransferFailedError("SOURCE", errno.EINVAL, text)
            source = storage.adler32(order.source, size) if _asks_source(order) else None
        if source is not None and order.checksum is not None and source != order.checksum.value:
            raise _mismatch("SOURCE", "Source and user-defined", source, order.checksum.value)
        if not order.overwrite and self._is_done(storage, order, size, source):
            return size
        part = _part(order)
        if order.resumed:
            self.clean(order)
        try:
            with _trouble("DESTINATION", "MAKE_PARENT "):
                storage.make_folder(order.destination.rpartition("/")[0])
            with _trouble("TRANSFER", "COPY "):
                storage.pull(order.source, part)
            with _trouble("DESTINATION"):
                self._verify(storage, part, size, order, source)
                storage.move(part, order.destination)
        except TransferFailedError as error:
            error.leaves_part = not self.clean(order)
            raise
        return size

    def _is_done(self, storage: WebDav, order: Order, size: int, source: str | None) -> bool:
        """Return whether the copy was completed just before the service stopped.

        Raises
        ------
        TransferFailedError
            If there is another file.
        """
        with _trouble("DESTINATION"):
            if not storage.exists(order.destination):
                return False
            expected = order.checksum.value if order.checksum else source
            if (
                order.resumed
                and storage.size(order.destination) == size
                and storage.adler32(order.destination, size) == (expected or storage.adler32(order.source, size))
            ):
                return True
        raise TransferFailedError("DESTINATION", errno.EEXIST, "Destination file exists and overwrite is not enabled")

    def _verify(self, storage: WebDav, part: str, size: int, order: Order, source: str | None) -> None:
        """Compare size and digest of the copy with those of the source."""
        arrived = storage.size(part)
        if arrived != size:
            text = f"Source and destination file size mismatch {size} <> {arrived}"
            raise TransferFailedError("DESTINATION", errno.EIO, text)
        if not order.verify.target:
            return
        found = storage.adler32(part, size)
        if order.checksum is not None and found != order.checksum.value:
            raise _mismatch("DESTINATION", "Destination and user-defined", found, order.checksum.value)
        if source is not None and found != source:
            raise _mismatch("TRANSFER", "Source and destination", source, found)


def _asks_source(order: Order) -> bool:
    """Return whether the digest of the source is needed."""
    return order.verify.source or (order.verify.target and order.checksum is None)


def _part(order: Order) -> str:
    """Return the URL of the temporary file."""
    return f"{order.destination.rpartition('/')[0]}/{order.part}"


def _mismatch(scope: str, ends: str, found: str, expected: str) -> TransferFailedError:
    """Return the failure for two different digests."""
    text = f"{scope} CHECKSUM MISMATCH {ends} ADLER32 do not match ({found} != {expected})"
    return TransferFailedError("TRANSFER", errno.EIO, text)


@contextlib.contextmanager
def _trouble(scope: str, step: str = "") -> Iterator[None]:
    """Convert an error of a storage to a failure in FTS3's format."""
    try:
        yield
    except StorageError as error:
        text = str(error)
        end = next((end for words, end in _ENDS.items() if words in text), scope)
        raise TransferFailedError(end, error.code, f"{step}Result {text}") from error


@contextlib.contextmanager
def _watched(abandoned: Callable[[], bool], cut: Callable[[], None]) -> Iterator[None]:
    """Call `cut` if the copy is abandoned within the block."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_WATCH_S):
            if abandoned():
                cut()
                return

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
