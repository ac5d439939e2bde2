"""Conditions on free keys: a value of JSON compares with one of its own kind.

A filter cannot say whether ``5`` is a number or a text, because Rucio's commands write both alike. Equality therefore
looks for either, by the index; an order is that of the kind that the value has itself.
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
#: The signs that order values.
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
    key
        The key.
    sign
        ``ne``, ``lt``, ``lte``, ``gt``, ``gte``, or nothing for equality.
    value
        A text, a number or a truth value.

    Raises
    ------
    InvalidMetadata
        If the value is none of these.
    """
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        msg = (
            f"metadata {key!r}: {value!r} cannot be asked for; a free key compares with texts, numbers, true and false"
        )
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
    """Return what `value` may stand for: itself, and the number or truth value that a text spells."""
    if not isinstance(value, str):
        return [value]
    try:
        read = json.loads(value.lower())
    except ValueError:
        return [value]
    if not isinstance(read, bool | int | float) or (isinstance(read, float) and not math.isfinite(read)):
        return [value]
    return [value, read]
