"""How the bytes of a copy are read where they lie: one verifier a kind of URL."""

from __future__ import annotations

import hashlib
import urllib.request
import zlib
from contextlib import contextmanager
from http.client import HTTPException
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol
from urllib.parse import urlsplit

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.integrity import digest_file
from ctao_bdms.naming import path_of_pfn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from http.client import HTTPResponse

__all__ = ["VERIFIERS", "FileVerifier", "HttpVerifier", "Reading", "Verifier", "verifier_for"]

_PIECE = 1 << 20


@attrs.frozen(kw_only=True)
class Reading:
    """What the bytes of a copy say.

    Attributes
    ----------
    size_bytes, adler32, sha256
        Their number and digests.
    """

    size_bytes: int
    adler32: str
    sha256: str


class Verifier(Protocol):
    """What can read copies."""

    #: How, in a word, for the evidence.
    how: ClassVar[str]

    def read(self, pfn: str, on_bytes: Callable[[int], None]) -> Reading:
        """Read all bytes of a copy and return what they say.

        Raises
        ------
        OSError
            If it cannot be read to its end.
        """

    def size_bytes(self, pfn: str) -> int:
        """Return the size of a copy as its storage says it, without reading it.

        Raises
        ------
        OSError
            If it is not there, or the storage does not answer.
        """

    def content(self, pfn: str) -> bytes:
        """Return the bytes of a small copy, a manifest.

        Raises
        ------
        OSError
            If it cannot be read to its end.
        """


class FileVerifier:
    """Reads copies on this machine."""

    how: ClassVar[str] = "file"

    def read(self, pfn: str, on_bytes: Callable[[int], None]) -> Reading:
        """Read all bytes of a copy."""
        size_bytes, digests = digest_file(path_of_pfn(pfn), ("adler32", "sha256"), on_bytes=on_bytes)
        return Reading(size_bytes=size_bytes, adler32=digests["adler32"], sha256=digests["sha256"])

    def size_bytes(self, pfn: str) -> int:
        """Return the size of a copy."""
        return path_of_pfn(pfn).stat().st_size

    def content(self, pfn: str) -> bytes:
        """Return the bytes of a small copy."""
        return path_of_pfn(pfn).read_bytes()


class HttpVerifier:
    """Reads copies by HTTP or WebDAV.

    Parameters
    ----------
    timeout_s
        How long a storage may be silent, in seconds.
    """

    how: ClassVar[str] = "http"
    _schemes: ClassVar[Mapping[str, str]] = {"davs": "https", "dav": "http"}

    def __init__(self, timeout_s: float = 60.0) -> None:
        self._timeout_s = timeout_s

    def read(self, pfn: str, on_bytes: Callable[[int], None]) -> Reading:
        """Read all bytes of a copy."""
        sha256, adler32, size_bytes = hashlib.sha256(), 1, 0
        with self._answer(pfn, "GET") as answer:
            said = answer.headers.get("Content-Length")
            while piece := answer.read(_PIECE):
                sha256.update(piece)
                adler32 = zlib.adler32(piece, adler32)
                size_bytes += len(piece)
                on_bytes(len(piece))
        if said is not None and size_bytes != int(said):
            raise OSError(f"{pfn} broke off after {size_bytes} of {said} bytes")
        return Reading(size_bytes=size_bytes, adler32=f"{adler32:08x}", sha256=sha256.hexdigest())

    def size_bytes(self, pfn: str) -> int:
        """Return the size of a copy."""
        with self._answer(pfn, "HEAD") as answer:
            said = answer.headers.get("Content-Length")
        if said is None:
            raise OSError(f"the storage does not say the size of {pfn}")
        return int(said)

    def content(self, pfn: str) -> bytes:
        """Return the bytes of a small copy."""
        with self._answer(pfn, "GET") as answer:
            return answer.read()

    @contextmanager
    def _answer(self, pfn: str, method: str) -> Iterator[HTTPResponse]:
        """Yield what the storage answers; what is no HTTP is an error of the storage."""
        scheme, rest = pfn.split(":", 1)
        asked = urllib.request.Request(f"{self._schemes.get(scheme, scheme)}:{rest}", method=method)
        try:
            with urllib.request.urlopen(asked, timeout=self._timeout_s) as answer:
                yield answer
        except HTTPException as error:
            raise OSError(f"{pfn} broke off: {type(error).__name__} {error}") from error


_HTTP = HttpVerifier()
#: What reads copies, by the scheme of their URL.
VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {"file": FileVerifier(), "http": _HTTP, "https": _HTTP, "dav": _HTTP, "davs": _HTTP}
)


def verifier_for(pfn: str, verifiers: Mapping[str, Verifier] = VERIFIERS) -> Verifier:
    """Return what reads a copy.

    Raises
    ------
    InvalidNameError
        If nothing reads URLs of that kind.
    """
    scheme = urlsplit(pfn).scheme
    if scheme not in verifiers:
        raise InvalidNameError(pfn, f"copies are read back by {', '.join(sorted(verifiers))}")
    return verifiers[scheme]
