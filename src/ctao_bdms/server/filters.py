"""Rucio's filter language, on typed columns.

A filter is a list of groups, of which one must hold; in a group, all conditions must. A condition is ``key`` or
``key.operator`` with a value: ``ne lt lte gt gte``, none for equality. ``*`` (or ``%``) in a text stands for any
characters. Values arrive as the caller wrote them or as text, and are read by the type of their key: an observation
block is a number, and a stream called ``00123`` is not.
"""

from __future__ import annotations

import datetime as dt
import operator
from typing import TYPE_CHECKING, Any

from rucio.common.exception import DIDFilterSyntaxError, InvalidMetadata, UnsupportedOperation
from rucio.db.sqla.constants import DIDType
from rucio.db.sqla.models import DataIdentifier
from sqlalchemy import and_, false, or_, true

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import ValueType, metadata_key
from ctao_bdms.server.schema import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import ColumnElement

    from ctao_bdms.model import MetadataKey, Value

__all__ = ["condition"]

_TYPES = {
    "all": (DIDType.CONTAINER, DIDType.DATASET, DIDType.FILE),
    "collection": (DIDType.CONTAINER, DIDType.DATASET),
    "container": (DIDType.CONTAINER,),
    "dataset": (DIDType.DATASET,),
    "file": (DIDType.FILE,),
}
_ORDERINGS: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
#: How Rucio's client writes a datetime.
_CLIENT_TIME = "%a, %d %b %Y %H:%M:%S UTC"


def condition(filters: Iterable[Mapping[str, Any]], did_type: str, *, by_name: bool = True) -> ColumnElement[bool]:
    """Return what `filters` ask of a row of the tables of data identifiers and of metadata.

    Parameters
    ----------
    filters
        The groups.
    did_type
        ``file``, ``dataset``, ``container``, ``collection`` or ``all``; a group may have a ``did_type`` of its own.
    by_name
        False to leave conditions on the name out.

    Raises
    ------
    InvalidMetadata
        If a key does not exist or a value does not have its type.
    DIDFilterSyntaxError
        If an operator does not exist or does not suit its value.
    UnsupportedOperation
        If a type does not exist.
    """
    return or_(false(), *(_group(group, did_type, by_name=by_name) for group in filters))


def _group(group: Mapping[str, Any], did_type: str, *, by_name: bool) -> ColumnElement[bool]:
    """Return what one group asks."""
    types = _TYPES.get(str(group.get("did_type", did_type)).lower())
    if types is None:
        msg = f"{group.get('did_type', did_type)!r} is not a type of data identifiers; there are {', '.join(_TYPES)}"
        raise UnsupportedOperation(msg)
    dids = DataIdentifier.__table__
    parts = [dids.c.did_type.in_(types)]
    for text, value in group.items():
        key, _, sign = text.partition(".")
        if key == "name":
            if by_name:
                parts.append(_compare(dids.c.name, text, sign, value))
        elif key != "did_type":
            parts.append(_metadata(key, text, sign, value))
    return and_(*parts)


def _metadata(key: str, text: str, sign: str, value: object) -> ColumnElement[bool]:
    """Return what a condition on a metadata key asks."""
    try:
        row = metadata_key(key)
        if row.type is ValueType.STR or _is_wildcard(value):
            return _compare(TABLE.c[key], text, sign, value if _is_wildcard(value) else row.parse(value))
        return _compare(TABLE.c[key], text, sign, _parse(row, value))
    except InvalidMetadataError as error:
        raise InvalidMetadata(str(error)) from error


def _parse(row: MetadataKey, value: object) -> Value:
    """Return `value` in the type of its key, also as Rucio's client writes it."""
    if row.type is ValueType.TIME and isinstance(value, str) and value.endswith(" UTC"):
        try:
            return dt.datetime.strptime(value, _CLIENT_TIME).replace(tzinfo=dt.UTC)
        except ValueError:
            pass
    return row.parse(value)


def _is_wildcard(value: object) -> bool:
    return isinstance(value, str) and ("*" in value or "%" in value)


def _compare(column: ColumnElement[Any], text: str, sign: str, value: Any) -> ColumnElement[bool]:  # noqa: ANN401
    """Return the comparison of a column with a value; what has no value is different from every value."""
    if sign in _ORDERINGS and not _is_wildcard(value):
        return _ORDERINGS[sign](column, value)
    if sign not in {"", "ne"}:
        reason = "a wildcard suits only equality" if sign in _ORDERINGS else "the operators are ne lt lte gt gte"
        msg = f"{text!r} with {value!r} cannot be asked: {reason}"
        raise DIDFilterSyntaxError(msg)
    if not _is_wildcard(value):
        return column == value if sign == "" else column.is_distinct_from(value)
    if set(value) <= {"*", "%"}:
        return true()  # as in Rucio: any value, also none
    if column.type.python_type is not str:
        msg = f"{text!r} with {value!r} cannot be asked: a wildcard suits only texts"
        raise DIDFilterSyntaxError(msg)
    pattern = value.replace("\\", "\\\\").replace("_", r"\_").replace("*", "%")
    if sign == "":
        return column.like(pattern, escape="\\")
    return or_(column.not_like(pattern, escape="\\"), column.is_(None))
