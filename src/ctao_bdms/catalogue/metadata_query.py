"""Metadata queries: conditions on metadata, order and limit."""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms.catalogue.conditions import Condition
from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import Cone, Product, ValidAt, Value, metadata_key
from ctao_bdms.model.plugin_filters import NAME, SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Group", "SortKey", "MetadataQuery"]

#: Conditions that must all hold.
Group = tuple[Condition | Cone | ValidAt, ...]


@attrs.frozen
class SortKey:
    """One sort key; products without a value come last.

    Attributes
    ----------
    key
        A key of the metadata table, ``name`` (the logical file name) or ``bytes`` (the size).

    Raises
    ------
    InvalidMetadataError
        If the key does not exist.
    """

    key: str
    descending: bool = False

    def __attrs_post_init__(self) -> None:
        if self.key not in {NAME, SIZE}:
            metadata_key(self.key)

    def value(self, product: Product) -> Any:  # noqa: ANN401 (values of one key compare with each other)
        """Return the value of this key in a product."""
        if self.key == NAME:
            return str(product.lfn)
        return product.size_bytes if self.key == SIZE else product.metadata.get(self.key)

    def compare(self, first: Product, second: Product) -> int:
        """Return -1 if `first` comes before `second`, 1 if after it, and 0 if their values are equal."""
        one, other = self.value(first), self.value(second)
        if one is None or other is None:
            return (one is None) - (other is None)
        sign = int(one > other) - int(one < other)
        return -sign if self.descending else sign


@attrs.frozen(kw_only=True)
class MetadataQuery:
    """A query for products in some scopes that meet all conditions.

    Attributes
    ----------
    conditions
        All of them must hold.
    any_of
        Alternatives: if there are any, all conditions of at least one must hold as well.
    order
        The sort keys, the most significant first; ties are sorted by name.
    limit
        The most products to return; None for all.
    """

    scopes: tuple[str, ...]
    conditions: Group = ()
    any_of: tuple[Group, ...] = ()
    order: tuple[SortKey, ...] = ()
    limit: int | None = attrs.field(default=None)

    @limit.validator
    def _not_negative(self, _attribute: object, limit: int | None) -> None:
        if limit is not None and limit < 0:
            raise InvalidMetadataError("limit", f"{limit} is negative; give 0 or more")

    def groups(self) -> tuple[Group, ...]:
        """Return the alternatives, each with all its conditions."""
        return tuple(self.conditions + group for group in self.any_of) if self.any_of else (self.conditions,)

    def holds(self, metadata: Mapping[str, Value]) -> bool:
        """Return whether a product with `metadata` matches."""
        return any(all(condition.holds(metadata) for condition in group) for group in self.groups())

    def sort_key(self) -> Callable[[Product], Any]:
        """Return the sort key function for products."""
        if not self.order:
            return lambda product: str(product.lfn)

        def compare(first: Product, second: Product) -> int:
            signs = (order.compare(first, second) for order in (*self.order, SortKey(NAME)))
            return next((sign for sign in signs if sign), 0)

        return cmp_to_key(compare)
