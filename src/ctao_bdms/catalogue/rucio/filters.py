"""Translate metadata queries to Rucio's filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctao_bdms.catalogue.conditions import Comparison, Condition
from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import METADATA, Cone, Value, ValueType
from ctao_bdms.model.plugin_filters import DEC, NEAR, VALID, is_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctao_bdms.catalogue.metadata_query import Group, MetadataQuery

__all__ = ["Filter", "filters", "plain_filters", "portions"]

Filter = dict[str, Any]

#: Filters are part of the URL, and servers accept URLs of 4 kB (gunicorn) to 8 kB (Apache).
_MAX_CHARACTERS = 1500


def filters(query: MetadataQuery) -> list[Filter]:
    """Return the alternatives of `query` as filters of our metadata plugin; empty if no product can match."""
    found = (_merged(group) for group in query.groups())
    return [each for each in found if each is not None]


def _merged(group: Group) -> Filter | None:
    """Merge conditions into one filter, with each comparison of a key once; None if no product can match."""
    merged: dict[tuple[str, Comparison], tuple[Value, ...]] = {}
    special: Filter = {}
    for condition in group:
        if isinstance(condition, Condition):
            known = merged.get((condition.key, condition.comparison))
            merged[condition.key, condition.comparison] = (
                condition.values if known is None else _both(condition, known, condition.values)
            )
            continue
        word, value = (
            (NEAR, [condition.ra_deg, condition.dec_deg, condition.radius_deg])
            if isinstance(condition, Cone)
            else (VALID, condition.to_wire())
        )
        if special.get(word, value) != value:
            raise InvalidMetadataError(word.partition(".")[2], "can be used only once in a query")
        special[word] = value
    if not all(merged.values()):
        return None
    return dict(_written(merged)) | special


def _both(condition: Condition, first: tuple[Value, ...], second: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return the values of one condition that is equivalent to two on the same key."""
    if condition.comparison is Comparison.NE:
        return tuple(dict.fromkeys(first + second))
    if condition.comparison is Comparison.EQ:
        if any(map(is_pattern, first + second)):
            raise InvalidMetadataError(condition.key, "a pattern and another value of one key cannot be combined")
        return tuple(value for value in first if value in second)
    if condition.comparison in {Comparison.LT, Comparison.LTE}:
        return (min(first + second),)
    return (max(first + second),)


def _written(conditions: Mapping[tuple[str, Comparison], tuple[Value, ...]]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a filter."""
    for (key, comparison), values in conditions.items():
        wire = [METADATA[key].to_wire(value) for value in values]
        text = key if comparison is Comparison.EQ else f"{key}.{comparison.value}"
        yield text, wire[0] if len(wire) == 1 else wire


def plain_filters(query: MetadataQuery) -> list[Filter]:
    """Return filters that any Rucio understands, and that match at least the products of `query`.

    Conditions that Rucio's own filters may read in another type (texts, times) or do not have (several values, "not")
    are left out, and must be checked afterwards.
    """
    return [dict(each for condition in group for each in _plain(condition)) for group in query.groups()]


def _plain(condition: object) -> Iterator[tuple[str, Any]]:
    """Yield the part of a condition that any Rucio understands."""
    if isinstance(condition, Cone):
        low, high = condition.declinations
        yield from ((f"{DEC}.gte", low), (f"{DEC}.lte", high))
    elif isinstance(condition, Condition) and _is_plain(condition):
        yield from _written({(condition.key, condition.comparison): condition.values})


def _is_plain(condition: Condition) -> bool:
    """Return whether any Rucio reads a condition as we do: numbers, and the level, which cannot be read as a time."""
    numbers = METADATA[condition.key].type in {ValueType.INT, ValueType.FLOAT}
    level = condition.key == "data__level" and condition.comparison is Comparison.EQ
    return (numbers or level) and condition.comparison is not Comparison.NE and len(condition.values) == 1


def portions(asked: list[Filter]) -> list[list[Filter]]:
    """Split filters into requests whose URLs are short enough."""
    if len(repr(asked)) <= _MAX_CHARACTERS:
        return [asked]
    if len(asked) > 1:
        middle = len(asked) // 2
        return portions(asked[:middle]) + portions(asked[middle:])
    lists = {key: value for key, value in asked[0].items() if isinstance(value, list) and "." not in key}
    if not lists:
        return [asked]
    key = max(lists, key=lambda each: len(repr(lists[each])))
    middle = len(lists[key]) // 2
    return portions([asked[0] | {key: lists[key][:middle]}]) + portions([asked[0] | {key: lists[key][middle:]}])
