"""Parse URLs to storage elements, and ``file://`` URLs to local paths. Pure."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from ctao_bdms.embedded.transfers.refusals import InvalidRequestError

__all__ = ["local_path", "storage_of"]


def local_path(url: str) -> Path:
    """Return the path of a ``file://`` URL.

    Parameters
    ----------
    url
        ``file://localhost/...`` or ``file:///...``; ``%41`` is the byte 0x41 (RFC 8089).

    Raises
    ------
    InvalidRequestError
        If the URL has another host, no absolute path, a folder, or ``..``.
    """
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in url):
        raise InvalidRequestError(f"{url!r} contains a control character")
    try:
        parts = urlsplit(url)
        path = os.fsdecode(unquote_to_bytes(parts.path))
    except ValueError as error:
        raise InvalidRequestError(f"{url!r} is not a URL: {error}") from error
    if parts.netloc.lower() not in {"", "localhost"}:
        raise InvalidRequestError(f"{url!r} names the host {parts.netloc!r}; only localhost can be served")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise InvalidRequestError(f"{url!r} contains '?' or '#'; write %3F or %23 if it is part of the name")
    if "\0" in path:
        raise InvalidRequestError(f"{url!r} contains a NUL")
    if not path.startswith("/"):
        raise InvalidRequestError(f"{url!r} names no absolute path")
    steps = path.split("/")
    if ".." in steps or steps[-1] in {"", "."}:
        raise InvalidRequestError(f"{url!r} contains '..' or names a folder")
    return Path(path)


def storage_of(url: str) -> str:
    """Return the storage element of a URL in FTS3's form: scheme and host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or 'localhost'}"
