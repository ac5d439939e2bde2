"""Translate Rucio's filter language to SQL conditions on typed columns and free keys.

A filter is a list of groups, of which one must hold; all conditions of a group must hold. A condition is ``key`` or
``key.operator`` with a value. The operators are ``ne lt lte gt gte``; no operator means equality. A list of values,
also written ``key.in``, matches any of them, and with ``ne`` none of them. ``*`` (or ``%``) in a text matches any
characters. ``in_dataset`` matches the content of a dataset of the same scope. Values are parsed by the type of their
key, because they may arrive as text: an observation block is a number, but a stream ``00123`` is not. The special keys
of `ctao_bdms.model.plugin_filters` can be used in groups, too.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from rucio.common.exception import DIDFilterSyntaxError, InvalidMetadata, UnsupportedOperation
from rucio.db.sqla.constants import DIDType
from rucio.db.sqla.models import DataIdentifier, DataIdentifierAssociation
from sqlalchemy import and_, exists, false, literal, or_, true

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import ValueType, metadata_key
from ctao_bdms.model.plugin_filters import is_pattern
from ctao_bdms.server import free
from ctao_bdms.server.paging import special
from ctao_bdms.server.schema import BEGIN, END, TABLE, between
from ctao_bdms.server.values import is_free
from ctao_bdms.server.wildcards import like, matches_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import ColumnElement

    from ctao_bdms.model import MetadataKey, Value

__all__ = ["IN_DATASET", "condition"]

#: The key for the content of a dataset.
IN_DATASET = "in_dataset"

_TYPES = {
    "all": (DIDType.CONTAINER, DIDType.DATASET, DIDType.FILE),
    "collection": (DIDType.CONTAINER, DIDType.DATASET),
    "container": (DIDType.CONTAINER,),
    "dataset": (DIDType.DATASET,),
    "file": (DIDType.FILE,),
}
#: The datetime format of Rucio's client.
_CLIENT_TIME = "%a, %d %b %Y %H:%M:%S UTC"


def condition(filters: Iterable[Mapping[str, Any]], did_type: str, *, by_name: bool = True) -> ColumnElement[bool]:
    """Return the SQL condition for `filters` on the tables of DIDs and metadata.

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
        If a key cannot exist or a value does not have its type.
    DIDFilterSyntaxError
        If an operator does not exist or does not suit its value.
    UnsupportedOperation
        If a type does not exist.
    """
    return or_(false(), *(_group(group, did_type, by_name=by_name) for group in filters))


def _group(group: Mapping[str, Any], did_type: str, *, by_name: bool) -> ColumnElement[bool]:
    """Return the condition of one group."""
    types = _TYPES.get(str(group.get("did_type", did_type)).lower())
    if types is None:
        msg = f"{group.get('did_type', did_type)!r} is not a DID type; known are {', '.join(_TYPES)}"
        raise UnsupportedOperation(msg)
    parts = [DataIdentifier.__table__.c.did_type.in_(types)]
    for text, value in group.items():
        key, _, sign = text.partition(".")
        ours = special(text, value)
        if ours is not None:
            parts.append(ours)
        elif key != "did_type" and (key != "name" or by_name):
            parts.append(_any_of(key, text, sign, value))
    parts += _interval(group)
    return and_(*parts)


def _interval(group: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Return the condition on the interval of the data that follows from conditions on its begin and end.

    It is redundant, but it can use the index on the interval.
    """
    before, after = (
        next((group[text] for text in (f"{key}.{signs}", f"{key}.{signs}e") if text in group), None)
        for key, signs in ((BEGIN, "lt"), (END, "gt"))
    )
    if before is None or after is None:
        return []
    times = [literal(_parse(metadata_key(BEGIN), value), TABLE.c[BEGIN].type) for value in (before, after)]
    return [TABLE.c[BEGIN].is_not(None), between(TABLE.c[BEGIN], TABLE.c[END]).op("&&")(between(*times))]


def _any_of(key: str, text: str, sign: str, value: object) -> ColumnElement[bool]:
    """Return the condition for one value or a list of values."""
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    if sign == "in":
        sign = ""
    if sign in free.ORDERINGS and len(values) != 1:
        msg = f"{text!r} takes one value, not {len(values)}"
        raise DIDFilterSyntaxError(msg)
    if sign not in {"", "ne", *free.ORDERINGS}:
        msg = f"{text!r} with {value!r} is not supported: the operators are in ne lt lte gt gte"
        raise DIDFilterSyntaxError(msg)
    try:
        parts = [_condition(key, text, sign, each) for each in values]
    except InvalidMetadataError as error:
        raise InvalidMetadata(str(error)) from error
    return and_(true(), *parts) if sign == "ne" else or_(false(), *parts)


def _condition(key: str, text: str, sign: str, value: object) -> ColumnElement[bool]:
    """Return the condition for one value."""
    if text == IN_DATASET:
        return _held_by(str(value))
    if is_pattern(value):
        if sign in free.ORDERINGS:
            msg = f"{text!r} with {value!r} is not supported: wildcards work with equality and ne only"
            raise DIDFilterSyntaxError(msg)
        if matches_all(value):
            return true()
    if key == "name":
        return _compare(TABLE.c.name, text, sign, value)
    if is_free(key):
        return free.compare(key, sign, value)
    row = metadata_key(key)
    return _compare(TABLE.c[key], text, sign, value if is_pattern(value) else _parse(row, value))


def _held_by(dataset: str) -> ColumnElement[bool]:
    """Return the condition that a dataset contains the row; wildcards in its name are taken literally."""
    did, link = DataIdentifier.__table__.c, DataIdentifierAssociation.__table__.c
    return exists().where(
        link.scope == did.scope, link.name == dataset, link.child_scope == did.scope, link.child_name == did.name
    )


def _parse(row: MetadataKey, value: object) -> Value:
    """Return `value` in the type of its key; accepts the datetime format of Rucio's client.

    Raises
    ------
    InvalidMetadata
        If it does not fit.
    """
    if row.type is ValueType.TIME and isinstance(value, str) and value.endswith(" UTC"):
        try:
            return dt.datetime.strptime(value, _CLIENT_TIME).replace(tzinfo=dt.UTC)
        except ValueError:
            pass
    try:
        return row.parse(value)
    except InvalidMetadataError as error:
        raise InvalidMetadata(str(error)) from error


def _compare(column: ColumnElement[Any], text: str, sign: str, value: Any) -> ColumnElement[bool]:  # noqa: ANN401
    """Return the comparison of a column with a value; a missing value is unequal to every value."""
    if sign in free.ORDERINGS:
        return free.ORDERINGS[sign](column, value)
    if not is_pattern(value):
        return column == value if sign == "" else column.is_distinct_from(value)
    if column.type.python_type is not str:
        msg = f"{text!r} with {value!r} is not supported: wildcards work on texts only"
        raise DIDFilterSyntaxError(msg)
    return like(column, value) if sign == "" else or_(~like(column, value), column.is_(None))
