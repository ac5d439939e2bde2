"""Query products."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms.access.copies import CopiesCondition
from ctao_bdms.access.query_words import alternatives, orders
from ctao_bdms.catalogue import Comparison, Condition, FileCatalogue, MetadataQuery, ProductCatalogue, StorageCatalogue
from ctao_bdms.errors import InvalidMetadataError, InvalidNameError
from ctao_bdms.model import Product, Release, ValidAt
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ctao_bdms.model import Value

__all__ = ["QueryCatalogue", "Products", "Query", "latest", "newest", "query", "build_query"]

_RELEASE = "curation__release"


class QueryCatalogue(ProductCatalogue, FileCatalogue, StorageCatalogue, Protocol):
    """The catalogue verbs that a query needs."""


class Products(Rows[Product]):
    """Products that match a query, one row each, with all their metadata in ``metadata``.

    The archive is asked when they are looked at. To iterate reads page by page and keeps nothing, however many there
    are; the length, a row by its number, and what shows them as a table read all, and from then on they are kept.
    """

    columns: ClassVar = (
        ("level", "level"),
        ("night", "night"),
        ("telescope", "telescope"),
        ("obs_id", "obs_id"),
        ("start", "start"),
        ("bytes", "size_bytes"),
        ("lfn", "lfn"),
    )
    units: ClassVar = {"bytes": "byte"}

    def __init__(self, rows: Iterable[Product] = ()) -> None:
        kept = tuple(rows)
        self._ask: Callable[[], Iterator[Product]] = lambda: iter(kept)
        self._kept: tuple[Product, ...] | None = None

    @classmethod
    def asking(cls, ask: Callable[[], Iterator[Product]]) -> Products:
        """Return what `ask` yields, asked when it is looked at."""
        products = cls()
        products._ask = ask
        return products

    # No cached property: until Python 3.12 all objects share its lock, and a fork copies it as it is held.
    @property
    def _rows(self) -> tuple[Product, ...]:  # type: ignore[override]
        if self._kept is None:
            self._kept = tuple(self._ask())
        return self._kept

    def __iter__(self) -> Iterator[Product]:
        # decided at the first row: list() makes the iterator before it asks for the length, which reads all
        yield from self._ask() if self._kept is None else self._kept

    def __reduce__(self) -> tuple[type[Products], tuple[list[Product]]]:
        return type(self), (list(self),)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None


@attrs.frozen(kw_only=True)
class Query:
    """A query for products: conditions on metadata, number of copies, latest release.

    Attributes
    ----------
    metadata
        The conditions on metadata, the order, and the most products to return.
    copies
        Conditions on the number of copies, which the catalogue cannot search for.
    latest
        Whether only the latest valid releases are wanted.
    """

    metadata: MetadataQuery
    copies: tuple[CopiesCondition, ...] = ()
    latest: bool = False

    def ask(self, catalogue: QueryCatalogue, now: Callable[[], dt.datetime]) -> Iterator[Product]:
        """Yield the products that match, page by page."""
        query = latest(catalogue, self.metadata, now()) if self.latest else self.metadata
        if query is None:
            return
        if not self.copies:
            yield from catalogue.find(query)
            return
        found = catalogue.find(attrs.evolve(query, limit=None))
        for condition in self.copies:
            found = condition.filter(found, catalogue, catalogue.rses())
        yield from itertools.islice(found, query.limit)

    def count(self, catalogue: QueryCatalogue, now: Callable[[], dt.datetime]) -> int:
        """Return the number of products that match, whatever the limit; only `copies` makes it read them."""
        if self.copies:
            return sum(
                1 for _ in attrs.evolve(self, metadata=attrs.evolve(self.metadata, limit=None)).ask(catalogue, now)
            )
        query = latest(catalogue, self.metadata, now()) if self.latest else self.metadata
        return 0 if query is None else sum(catalogue.tally(query).values())


def build_query(
    scopes: Iterable[str],
    words: Mapping[str, object],
    *,
    any_of: Iterable[Mapping[str, object]] = (),
    sort: str | Iterable[str] = (),
    limit: int | None = None,
) -> Query:
    """Build a query from words; see `query`.

    Raises
    ------
    InvalidMetadataError
        If a word does not exist or a value does not fit it; the error names the nearest.
    """
    given = {word: value for word, value in words.items() if value is not None}
    copies = [word for word in given if word.partition("__")[0] == "copies"]
    conditions = [CopiesCondition.parse(word, given.pop(word)) for word in copies]
    newest = given.pop("latest", False)
    if not isinstance(newest, bool):
        raise InvalidMetadataError("latest", f"{newest!r} is neither True nor False")
    if given.get("release") == "latest":
        newest, _ = True, given.pop("release")
    here, others = alternatives(given), [group for each in any_of for group in alternatives(each)]
    groups = tuple(one + other for one in here for other in others or [()])
    return Query(
        metadata=MetadataQuery(
            scopes=tuple(scopes),
            conditions=groups[0] if len(groups) == 1 else (),
            any_of=groups if len(groups) > 1 else (),
            order=orders(sort),
            limit=limit,
        ),
        copies=tuple(conditions),
        latest=newest,
    )


def query(
    catalogue: QueryCatalogue,
    scopes: Iterable[str],
    words: Mapping[str, object],
    limit: int | None = None,
    *,
    any_of: Iterable[Mapping[str, object]] = (),
    sort: str | Iterable[str] = (),
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Products:
    """Return the products that match a query.

    Parameters
    ----------
    words
        What to look for; see `ctao_bdms.access.query_words.conditions`. Besides, ``copies`` (also ``copies__lt`` and
        the like) is the number of off-site centres that hold a copy that can be read: it costs a request for every
        thousand products that answer the other words. ``latest=True`` or ``release="latest"`` leaves of each collection
        the newest release that is valid now; it costs a request for each scope.
    any_of
        Alternatives: words of which, besides `words`, those of at least one must hold.
    sort
        The words or keys that they are sorted by, the first first; with ``-`` in front, the greatest come first. Those
        without a value come last. In the end, and if nothing is said, names decide.

    Raises
    ------
    InvalidMetadataError
        If a word does not exist or a value does not fit it; the error names the nearest.
    """
    built = build_query(scopes, words, any_of=any_of, sort=sort, limit=limit)
    return Products.asking(lambda: built.ask(catalogue, now))


def newest(releases: Iterable[str]) -> tuple[str, ...]:
    """Return of each collection the newest release: DR10 comes after DR2.

    Examples
    --------
    >>> newest(["DataPipe/Observation/DR10", "DataPipe/Observation/DR2", "CalibPipe/DR1"])
    ('CalibPipe/DR1', 'DataPipe/Observation/DR10')
    """
    last: dict[str, Release] = {}
    others = set()
    for text in releases:
        try:
            release = Release(text)
        except InvalidNameError:
            others.add(text)  # of another archive's making: nothing says what it is a version of
            continue
        last[release.collection] = max(release, last.get(release.collection, release))
    return tuple(sorted({*others, *(str(release) for release in last.values())}))


def latest(catalogue: ProductCatalogue, query: MetadataQuery, now: dt.datetime) -> MetadataQuery | None:
    """Return `query`, narrowed to the newest valid releases among the products that match it.

    Of each collection (``DataPipe/Observation`` is that of ``DataPipe/Observation/DR2``) one release is left, so that
    versions never mix. Validity is what ``curation__valid_from`` and ``curation__valid_to`` say; where they say nothing
    there is no bound. Products of no release, such as raw data, do not answer.

    Parameters
    ----------
    catalogue
        The archive; it is asked once for the releases.
    now
        When the release must be valid (aware).

    Returns
    -------
    Query or None
        None if no product that answers is of a release that is valid.
    """
    valid = attrs.evolve(query, conditions=(*query.conditions, ValidAt(now.astimezone(dt.UTC))))
    found: tuple[Value, ...] = newest(str(each) for each in catalogue.tally(valid, _RELEASE) if each is not None)
    if not found:
        return None
    return attrs.evolve(valid, conditions=(*valid.conditions, Condition(_RELEASE, Comparison.EQ, found)))
