"""Conditions on metadata."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import Value, metadata_key
from ctao_bdms.model.plugin_filters import is_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Comparison", "Condition"]


class Comparison(StrEnum):
    """Comparison operators, with the names of Rucio's filter language."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"


def _same(have: Value, want: Value) -> bool:
    """Return whether a value equals the wanted one or matches the wanted pattern."""
    if is_pattern(want):
        pattern = "".join(".*" if part in "*%" else re.escape(part) for part in re.split("([*%])", want) if part)
        return re.fullmatch(pattern, str(have), re.DOTALL) is not None
    return have == want


_ORDERINGS = {
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
    values
        The values to compare with: ``eq`` needs one match, ``ne`` none; other operators take one value. In texts, ``*``
        matches any characters.

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
        if not self.values or (len(self.values) > 1 and self.comparison in _ORDERINGS):
            raise InvalidMetadataError(self.key, f"{self.comparison.value!r} takes one value, not {len(self.values)}")
        object.__setattr__(self, "values", tuple(row.parse(value) for value in self.values))

    def holds(self, metadata: Mapping[str, Value]) -> bool:
        """Return whether a product with `metadata` meets the condition.

        A missing value fulfils only ``ne``.
        """
        have = metadata.get(self.key)
        if self.comparison is Comparison.NE:
            return have is None or not any(_same(have, want) for want in self.values)
        if have is None:
            return False
        if self.comparison is Comparison.EQ:
            return any(_same(have, want) for want in self.values)
        return bool(_ORDERINGS[self.comparison](have, self.values[0]))
