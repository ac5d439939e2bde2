"""How bytes are read from where a URL says that they lie: a small port, and the way to its adapters.

``file://`` is read here, ``http(s)://`` and ``davs://`` in `ctao_bdms.storage.http`, ``root://`` in
`ctao_bdms.storage.xrootd`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, Self

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.integrity.source import open_source
from ctao_bdms.naming import path_of_pfn
from ctao_bdms.overriding import override
from ctao_bdms.storage.http import HttpDoor

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LocalSource", "Source", "Sources"]

_HTTP = {"https": "https", "davs": "https", "http": "http", "dav": "http"}


class Source(Protocol):
    """One copy of a file, open for reading.

    Attributes
    ----------
    size_bytes
        How many bytes there are.
    """

    size_bytes: int

    def read_at(self, buffer: memoryview, position: int) -> int:
        """Read from `position` into a buffer, and say how many bytes; 0 only at the end.

        Raises
        ------
        UnreachableError
            If the storage does not answer any more.
        OSError
            If it cannot be read.
        """

    def close(self) -> None:
        """Close the source."""


class LocalSource(Source):
    """A local file, as a source."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            self._file = stack.enter_context(open_source(path))
            self.size_bytes = self._file.size_bytes
            self._open = stack.pop_all()

    @override
    def read_at(self, buffer: memoryview, position: int) -> int:
        return self._file.read_at(buffer, position)

    @override
    def close(self) -> None:
        self._open.close()


class Sources:
    """Opens URLs, and keeps connections for the next one; a context manager."""

    def __init__(self) -> None:
        self._http = HttpDoor()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def open(self, url: str, position: int = 0, size_bytes: int | None = None) -> Source:
        """Open what `url` points to.

        Parameters
        ----------
        url
            A physical file name.
        position
            Where the reading will begin.
        size_bytes
            How many bytes there should be, if that is known; how many there are, the source says.

        Raises
        ------
        InvalidNameError
            If URLs of this kind cannot be opened here, or it is none.
        MissingExtraError
            If the software for its kind is not installed.
        CredentialsError
            If the proxy or token of the user, which the storage would be shown, cannot be used.
        UnreachableError
            If the storage does not answer.
        OSError
            If it cannot be opened.
        """
        scheme = url.partition(":")[0].lower()
        if scheme == "file":
            return LocalSource(path_of_pfn(url))
        if scheme in _HTTP:
            return self._http.open(_HTTP[scheme] + url[len(scheme) :], position, size_bytes)
        if scheme in {"root", "roots"}:
            from ctao_bdms.storage.xrootd import XrootdSource

            return XrootdSource(url)
        raise InvalidNameError(url, "only file, root, https, davs and http URLs can be opened here")
