"""Search products on a Rucio server: in pages with our metadata plugin, in one request without it."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
from rucio.common import exception as rucio_exception

from ctao_bdms.catalogue.rucio import answers
from ctao_bdms.catalogue.rucio.convert import converted, is_failure_of_server
from ctao_bdms.catalogue.rucio.filters import filters, plain_filters, portions
from ctao_bdms.errors import UnreachableError
from ctao_bdms.model import metadata_key
from ctao_bdms.model.plugin_filters import HEADER, NAME, PAGE
from ctao_bdms.naming import is_beside_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rucio.client.client import Client

    from ctao_bdms.catalogue.metadata_query import MetadataQuery
    from ctao_bdms.catalogue.rucio.filters import Filter
    from ctao_bdms.model import Did, Product, Value

__all__ = ["Search"]

_LOG = logging.getLogger(__name__)
#: The first page is small, so that the first row comes quickly; the others are large, to need few requests.
_FIRST, _NEXT = 200, 2000
#: The most identifiers in one request for metadata.
_BULK = 1000
#: The responses of servers without our plugin to an unknown key.
_UNKNOWN = (
    rucio_exception.DIDFilterSyntaxError,
    rucio_exception.FilterEngineGenericError,
    rucio_exception.InvalidMetadata,
    rucio_exception.KeyNotFound,
    rucio_exception.UnsupportedOperation,
)


class _NotOursError(Exception):
    """The server does not understand our keys; `failed` if it may have failed for another reason."""

    def __init__(self, text: str, *, failed: bool = False) -> None:
        super().__init__(text)
        self.failed = failed


class Search:
    """Metadata searches on one server; `client` returns the Rucio client of this process.

    Parameters
    ----------
    client
        Returns the Rucio client of this process.
    """

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client
        #: Whether the server has our plugin; None until it is known.
        self._is_ours: bool | None = None

    def find(self, query: MetadataQuery) -> Iterator[Product]:
        """Yield the products that match `query`, in its order; see `ctao_bdms.catalogue.ProductCatalogue`."""
        if self._is_ours is not False and query.limit != 0:
            asked = portions(filters(query))
            streams = [
                self._pages(scope, each, query) for scope in dict.fromkeys(query.scopes) for each in asked if each
            ]
            merged = heapq.merge(*streams, key=query.sort_key()) if len(streams) > 1 else itertools.chain(*streams)
            found = (product for product, _ in itertools.groupby(merged)) if len(asked) > 1 else merged
            rows = itertools.islice(found, query.limit)
            try:
                first = next(rows, None)
            except _NotOursError as error:
                self._not_ours(error)
            else:
                yield from () if first is None else itertools.chain((first,), rows)
                return
        yield from sorted(self._plain(query), key=query.sort_key())[: query.limit] if query.limit != 0 else ()

    def tally(self, query: MetadataQuery, key: str) -> Mapping[Value | None, int]:
        """Count the products of `query` by their values of `key`; all under None if it is empty."""
        counted: Counter[Value | None] = Counter()
        asked = portions(filters(query))
        if self._is_ours is not False and len(asked) == 1:
            try:
                for scope in dict.fromkeys(query.scopes) if asked[0] else ():
                    for row in self._asked(scope, asked[0], {"tally": key}):
                        value = row["value"]
                        counted[value if value is None else metadata_key(key).parse(value)] += int(row["count"])
            except _NotOursError as error:
                self._not_ours(error)
            else:
                return counted
        for product in self.find(attrs.evolve(query, order=(), limit=None)):
            counted[product.metadata.get(key) if key else None] += 1
        return counted

    def products_in(self, block: Did) -> Iterator[Product]:
        """Yield the files in a dataset, with their metadata; none if there is no such dataset."""
        found: list[Product] = []
        if self._is_ours is not False:
            with suppress(*_UNKNOWN):
                rows = self._client().list_dids(block.scope, [{"in_dataset": block.name}], "file", long=True)
                found = list(map(answers.product, rows))
        if not found:  # either the dataset is empty, or the server ignored an unknown key
            with suppress(rucio_exception.DataIdentifierNotFound):
                names = [str(file["name"]) for file in self._client().list_files(block.scope, block.name)]
                found = list(self._described(block.scope, names))
        yield from found

    def _not_ours(self, error: _NotOursError) -> None:
        """Remember that the server has no plugin, unless it may have failed for another reason."""
        self._is_ours = None if error.failed else False
        if error.failed:
            _LOG.warning("%s; repeating the search with Rucio's own filters", error)
        else:
            _LOG.info("the server has no or an old metadata plugin of ctao-bdms; searches read all matches at once")

    def _pages(self, scope: str, asked: list[Filter], query: MetadataQuery) -> Iterator[Product]:
        """Yield the products that match filters in one scope, with one page in memory."""
        order = [f"{'-' * each.descending}{each.key}" for each in query.order]
        page: dict[str, Any] = {"order": order, "limit": min(_FIRST, query.limit or _FIRST)}
        left = query.limit
        while True:
            rows = list(self._asked(scope, asked, page))
            yield from map(answers.product, rows)
            left = None if left is None else left - len(rows)
            if len(rows) < page["limit"] or left == 0:
                return
            after = [rows[-1].get(each.key) for each in query.order] + [rows[-1][NAME]]
            page |= {"after": after, "limit": min(_NEXT, left or _NEXT)}

    def _asked(self, scope: str, asked: list[Filter], page: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows of one request as they arrive, without the first, which identifies our plugin."""
        with converted("querying the catalogue"):
            try:
                # This key must be first: servers without our plugin reject it by name, which `_UNKNOWN` recognises.
                first = {PAGE: dict(page)} | asked[0]
                rows = self._client().list_dids(scope, [first, *asked[1:]], "file", long=True)
                is_understood = next(rows, None) == HEADER
            except _UNKNOWN as error:
                if "after" in page:
                    raise
                raise _NotOursError(str(error)) from error
            except rucio_exception.RucioException as error:
                # A server without our plugin may fail (HTTP 500) on our keys. A server with the plugin fails for
                # another reason, and so does a proxy.
                if self._is_ours or not is_failure_of_server(error):
                    raise
                raise _NotOursError(str(error), failed=True) from error
            if not is_understood and self._is_ours:
                raise UnreachableError("this response came from another server, without our plugin; try again")
            if not is_understood:
                raise _NotOursError("the response does not begin with the row of our plugin")
            self._is_ours = True
            yield from rows

    def _plain(self, query: MetadataQuery) -> Iterator[Product]:
        """Yield the products that match, using only requests that any Rucio understands: names, then their metadata."""
        with converted("querying the catalogue"):
            for scope in dict.fromkeys(query.scopes):
                names = sorted(set(self._client().list_dids(scope, plain_filters(query), did_type="file")))
                found = self._described(scope, names)
                yield from (one for one in found if not is_beside_tree(one.lfn) and query.holds(one.metadata))

    def _described(self, scope: str, names: Sequence[str]) -> Iterator[Product]:
        """Yield files with their metadata, from any Rucio."""
        for start in range(0, len(names), _BULK):
            dids = [{"scope": scope, "name": name} for name in names[start : start + _BULK]]
            yield from map(answers.product, self._client().get_metadata_bulk(dids, plugin="ALL"))
