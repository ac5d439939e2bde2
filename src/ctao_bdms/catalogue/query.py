"""Questions about metadata, as values."""

from __future__ import annotations

import itertools
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import METADATA, Value, metadata_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Comparison", "Condition", "Query"]


class Comparison(StrEnum):
    """How a value is compared; the words are those of Rucio's filters."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"


_TESTS = {
    Comparison.EQ: lambda have, want: have == want,
    Comparison.NE: lambda have, want: have != want,
    Comparison.LT: lambda have, want: have < want,
    Comparison.LTE: lambda have, want: have <= want,
    Comparison.GT: lambda have, want: have > want,
    Comparison.GTE: lambda have, want: have >= want,
}


@attrs.frozen
class Condition:
    """One condition: the value of `key` compares to one of `values`.

    Attributes
    ----------
    key
        A key of the metadata table.
    comparison
        How it is compared.
    values
        The values to compare with; more than one only with ``eq``, and then any of them will do.

    Raises
    ------
    InvalidMetadataError
        If the key does not exist, or a value does not fit it.

    Examples
    --------
    >>> Condition("instance__ae_id", Comparison.EQ, (1, 2)).holds({"instance__ae_id": 2})
    True
    """

    key: str
    comparison: Comparison
    values: tuple[Value, ...]

    def __attrs_post_init__(self) -> None:
        row = metadata_key(self.key)
        if not self.values or (len(self.values) > 1 and self.comparison is not Comparison.EQ):
            raise InvalidMetadataError(self.key, f"{self.comparison.value!r} takes one value, not {len(self.values)}")
        object.__setattr__(self, "values", tuple(row.parse(value) for value in self.values))

    def holds(self, metadata: Mapping[str, Value]) -> bool:
        """Return whether a product with `metadata` answers; one without the key does not."""
        have = metadata.get(self.key)
        return have is not None and any(_TESTS[self.comparison](have, want) for want in self.values)


@attrs.frozen(kw_only=True)
class Query:
    """The question which products of these scopes meet all these conditions.

    Attributes
    ----------
    scopes
        The scopes to look in.
    conditions
        All of them must hold.
    limit
        The most products to return; None for all.
    """

    scopes: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    limit: int | None = None

    def filters(self) -> list[dict[str, str | int | float | bool]]:
        """Return the conditions in Rucio's form: any of the returned, and in each all."""
        options = [
            [
                (
                    c.key if c.comparison is Comparison.EQ else f"{c.key}.{c.comparison.value}",
                    METADATA[c.key].to_wire(value),
                )
                for value in c.values
            ]
            for c in self.conditions
        ]
        return [dict(_distinct(choice)) for choice in itertools.product(*options)]


def _distinct(
    choice: tuple[tuple[str, str | int | float | bool], ...],
) -> Iterator[tuple[str, str | int | float | bool]]:
    """Refuse two conditions that one filter cannot say at once."""
    seen = set()
    for key, value in choice:
        if key in seen:
            raise InvalidMetadataError(key, "two conditions of the same kind on one key")
        seen.add(key)
        yield key, value
