"""The daemon's connection to the archive: lazy, reconnecting, and fenced."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ctao_bdms.catalogue import Catalogue
from ctao_bdms.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.catalogue import MetadataQuery
    from ctao_bdms.model import Product

__all__ = ["Connection"]

_VERBS = frozenset(name for name in dir(Catalogue) if not name.startswith("_"))
#: All other methods count as writes, so that a new method is fenced until it is listed here.
_READ_ONLY = frozenset(
    {
        "account",
        "annotations",
        "attempts",
        "blocks",
        "content",
        "files",
        "find",
        "fulfilled_since",
        "kept",
        "missing_directories",
        "products_in",
        "room",
        "rses",
        "rule",
        "rules",
        "scopes",
        "tally",
        "unfulfilled",
    }
)


class Connection:
    """A catalogue that connects when used, and checks the lease before each write.

    Parameters
    ----------
    connect
        Connects to the archive; also called again after rejected credentials.
    check
        Raises `LeaseLostError` if another daemon has taken over the lease.
    """

    def __init__(self, connect: Callable[[], Catalogue], check: Callable[[], None]) -> None:
        self._connect = connect
        self._check = check
        self._catalogue: Catalogue | None = None

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        if verb not in _VERBS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {verb!r}")
        return functools.partial(self._call, verb)

    def _call(self, verb: str, *args: object, **named: object) -> Any:  # noqa: ANN401 - what the verb returns
        with self._connected(verb) as catalogue:
            return getattr(catalogue, verb)(*args, **named)

    def find(self, query: MetadataQuery) -> Iterator[Product]:
        """Yield the products of `query`; each page may fail with rejected credentials."""
        with self._connected("find") as catalogue:
            yield from catalogue.find(query)

    @contextmanager
    def _connected(self, verb: str) -> Iterator[Catalogue]:
        """Yield the catalogue for one call; reconnect later if it rejects the credentials."""
        if self._catalogue is None:
            self._catalogue = self._connect()
        if verb not in _READ_ONLY:
            self._check()
        try:
            yield self._catalogue
        except AuthenticationError:
            self._catalogue = None
            raise
