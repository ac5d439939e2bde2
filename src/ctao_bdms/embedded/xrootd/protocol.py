"""Rucio's protocol for files on XRootD servers by HTTP, used by server, daemons and clients.

Rucio loads the class by its name in the protocol settings of the storage element. Rucio's own protocol for HTTP takes
XRootD's response to a deletion for a failure, and that for ``root://`` starts two programs for each file.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rucio.common import exception
from rucio.rse.protocols import protocol

from ctao_bdms.embedded.xrootd.webdav import StorageError, WebDav

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Default"]

_PATIENCE_S = 60.0


class Default(protocol.RSEProtocol):  # type: ignore[misc]
    """Files of a storage element by HTTP, with Adler-32 from the server."""

    def path2pfn(self, path: str) -> str:
        """Return the URL of `path`, which may already be one."""
        if "://" in path:
            return path
        return (
            f"{self.attributes['scheme']}://{self.attributes['hostname']}:{self.attributes['port']}/{path.lstrip('/')}"
        )

    def connect(self) -> None:
        """Do nothing: each request makes its own connection."""

    def close(self) -> None:
        """Do nothing."""

    def exists(self, pfn: str) -> bool:
        """Return whether the file exists."""
        with _converted():
            return WebDav(silence_s=_PATIENCE_S).exists(self.path2pfn(pfn))

    def stat(self, pfn: str) -> dict[str, int | str]:
        """Return ``filesize`` in bytes and ``adler32``."""
        url, storage = self.path2pfn(pfn), WebDav(silence_s=_PATIENCE_S)
        with _converted():
            size = storage.size(url)
            return {"filesize": size, "adler32": storage.adler32(url, size)}

    def get(self, pfn: str, dest: str, transfer_timeout: int | None = None) -> None:
        """Copy the file `pfn` to `dest`; create missing folders."""
        target = Path(dest)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _converted(), target.open("wb") as stream:
            WebDav(silence_s=transfer_timeout or _PATIENCE_S).fetch(self.path2pfn(pfn), stream.write)

    def put(self, source: str, target: str, source_dir: str | None = None, transfer_timeout: int | None = None) -> None:
        """Copy the file `source`, in the folder `source_dir`, to `target`."""
        path = Path(source_dir, source) if source_dir else Path(source)
        try:
            stream = path.open("rb")
        except OSError as error:
            raise exception.SourceNotFound(str(error)) from error
        with stream, _converted(exception.DestinationNotAccessible):
            WebDav(silence_s=transfer_timeout or _PATIENCE_S).store(self.path2pfn(target), stream, path.stat().st_size)

    def delete(self, pfn: str) -> None:
        """Delete a file."""
        with _converted():
            WebDav(silence_s=_PATIENCE_S).delete(self.path2pfn(pfn))

    def rename(self, pfn: str, new_pfn: str) -> None:
        """Rename a file on the same storage element."""
        with _converted():
            WebDav(silence_s=_PATIENCE_S).move(self.path2pfn(pfn), self.path2pfn(new_pfn))


@contextmanager
def _converted(otherwise: type[Exception] = exception.ServiceUnavailable) -> Iterator[None]:
    """Convert an error of a storage to an exception of Rucio."""
    try:
        yield
    except StorageError as error:
        kind = exception.SourceNotFound if error.code == errno.ENOENT else otherwise
        raise kind(str(error)) from error
