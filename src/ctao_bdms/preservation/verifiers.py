"""Verifiers: read the bytes of a replica, by kind of URL."""

from __future__ import annotations

import hashlib
import zlib
from contextlib import closing
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urlsplit

import attrs

from ctao_bdms.errors import BdmsError, InvalidNameError
from ctao_bdms.integrity import digest_file
from ctao_bdms.naming import path_of_pfn
from ctao_bdms.overriding import override
from ctao_bdms.storage import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ctao_bdms.model import Replica

__all__ = ["VERIFIERS", "FileVerifier", "ReadDigests", "SourceVerifier", "Verifier", "ask", "verifier_for"]

_PIECE = 1 << 20
Answer = TypeVar("Answer")


@attrs.frozen(kw_only=True)
class ReadDigests:
    """Size and digests of the bytes of a replica.

    Attributes
    ----------
    size_bytes, adler32, sha256
        Their number and digests.
    """

    size_bytes: int
    adler32: str
    sha256: str


class Verifier(Protocol):
    """Reads replicas.

    Attributes
    ----------
    how
        How, in a word, for the evidence.
    """

    how: str

    def read(self, pfn: str, on_bytes: Callable[[int], None]) -> ReadDigests:
        """Read all bytes of a replica and return size and digests.

        Raises
        ------
        OSError
            If it cannot be read to its end.
        """

    def size_bytes(self, pfn: str) -> int:
        """Return the size of a replica from its storage, without reading it.

        Raises
        ------
        OSError
            If it is not there, or the storage does not answer.
        """

    def content(self, pfn: str) -> bytes:
        """Return the bytes of a small replica, a manifest.

        Raises
        ------
        OSError
            If it cannot be read to its end.
        """


class FileVerifier(Verifier):
    """Reads replicas on this machine."""

    how = "file"

    @override
    def read(self, pfn: str, on_bytes: Callable[[int], None]) -> ReadDigests:
        size_bytes, digests = digest_file(path_of_pfn(pfn), ("adler32", "sha256"), on_bytes=on_bytes)
        return ReadDigests(size_bytes=size_bytes, adler32=digests["adler32"], sha256=digests["sha256"])

    @override
    def size_bytes(self, pfn: str) -> int:
        return path_of_pfn(pfn).stat().st_size

    @override
    def content(self, pfn: str) -> bytes:
        return path_of_pfn(pfn).read_bytes()


class SourceVerifier(Verifier):
    """Reads replicas on servers, as `ctao_bdms.storage.Sources` opens them.

    Parameters
    ----------
    how
        How, in a word, for the evidence.
    """

    def __init__(self, how: str) -> None:
        self.how = how

    @override
    def read(self, pfn: str, on_bytes: Callable[[int], None]) -> ReadDigests:
        sha256, adler32, size_bytes = hashlib.sha256(), 1, 0
        for piece in _pieces(pfn):
            sha256.update(piece)
            adler32 = zlib.adler32(piece, adler32)
            size_bytes += len(piece)
            on_bytes(len(piece))
        return ReadDigests(size_bytes=size_bytes, adler32=f"{adler32:08x}", sha256=sha256.hexdigest())

    @override
    def size_bytes(self, pfn: str) -> int:
        with Sources() as sources, closing(sources.open(pfn)) as source:
            return source.size_bytes

    @override
    def content(self, pfn: str) -> bytes:
        return b"".join(map(bytes, _pieces(pfn)))


def _pieces(pfn: str) -> Iterator[memoryview]:
    """Yield the bytes of a copy; each piece is to be used before the next is asked for."""
    buffer = memoryview(bytearray(_PIECE))
    with Sources() as sources, closing(sources.open(pfn)) as source:
        position = 0
        while count := source.read_at(buffer, position):
            position += count
            yield buffer[:count]
    if position != source.size_bytes:
        raise OSError(f"{pfn} broke off after {position} of {source.size_bytes} bytes")


_HTTP, _ROOT = SourceVerifier("http"), SourceVerifier("root")
#: What reads copies, by the scheme of their URL.
VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {
        "file": FileVerifier(),
        **dict.fromkeys(("http", "https", "dav", "davs"), _HTTP),
        **dict.fromkeys(("root", "roots"), _ROOT),
    }
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


def ask(
    replica: Replica, question: Callable[[Verifier, str], Answer], verifiers: Mapping[str, Verifier] = VERIFIERS
) -> tuple[str, Answer]:
    """Try the URLs of a replica in turn, until one answers.

    Parameters
    ----------
    question
        What it is asked, by what reads its kind of URL and the URL.
    verifiers
        What reads copies, by the scheme of their URL.

    Returns
    -------
    tuple
        How it was asked, in a word, and the answer.

    Raises
    ------
    OSError
        If no door answers; it says what each has said.
    """
    said = []
    for url in replica.urls:
        try:
            verifier = verifier_for(url, verifiers)
            return verifier.how, question(verifier, url)
        except (BdmsError, OSError) as error:
            said.append(str(error))
    raise OSError("; ".join(said) or f"the copy at {replica.rse} has no URL that can be opened here")
