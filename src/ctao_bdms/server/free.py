"""Conditions on free keys: a JSON value compares with values of the same type.

A filter cannot distinguish the number ``5`` from the text ``5``, because Rucio's commands write both alike. So
equality matches either of them, with the index; an ordering compares with stored values of their own type.
"""

from __future__ import annotations

import json
import math
import operator
from typing import TYPE_CHECKING, Any

from rucio.common.exception import InvalidMetadata
from sqlalchemy import and_, func, literal, or_
from sqlalchemy.dialects.postgresql import JSONB

from ctao_bdms.model.plugin_filters import is_pattern
from ctao_bdms.server.schema import FREE, TABLE
from ctao_bdms.server.wildcards import like

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import ColumnElement

__all__ = ["ORDERINGS", "compare"]

_COLUMN = TABLE.c[FREE]
#: The ordering operators.
ORDERINGS: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def compare(key: str, sign: str, value: object) -> ColumnElement[bool]:
    """Return the comparison of a free key with a value.

    Parameters
    ----------
    sign
        ``ne``, ``lt``, ``lte``, ``gt``, ``gte``, or empty for equality.
    value
        A text, a number or a boolean.

    Raises
    ------
    InvalidMetadata
        If the value has another type.
    """
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        msg = f"metadata {key!r}: {value!r} is not supported; a free key compares with texts, numbers, true and false"
        raise InvalidMetadata(msg)
    have = _COLUMN[key]
    if sign in ORDERINGS:
        want = literal(_readings(value)[-1], JSONB())
        return and_(func.jsonb_typeof(have) == func.jsonb_typeof(want), ORDERINGS[sign](have, want))
    if is_pattern(value):
        found = and_(func.jsonb_typeof(have) == "string", like(have.astext, value))
    else:
        found = or_(*(_COLUMN.contains({key: each}) for each in _readings(value)))
    return found if sign == "" else found.is_not(True)


def _readings(value: str | float) -> list[str | int | float | bool]:
    """Return the possible meanings of `value`: itself, and the number or boolean that a text spells."""
    if not isinstance(value, str):
        return [value]
    try:
        read = json.loads(value.lower())
    except ValueError:
        return [value]
    if not isinstance(read, bool | int | float) or (isinstance(read, float) and not math.isfinite(read)):
        return [value]
    return [value, read]
