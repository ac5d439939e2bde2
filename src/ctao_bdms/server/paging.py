"""Sorted pages and counts, which Rucio's own search does not offer.

The keys are those of `ctao_bdms.model.plugin_filters`. A page begins after a given row, not at an offset. So all pages
cost the same, and products that arrive in the meantime cause no duplicates and no gaps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
from rucio.common.exception import DIDFilterSyntaxError, InvalidMetadata
from rucio.db.sqla.models import DataIdentifier
from sqlalchemy import and_, false, func, literal, or_

from ctao_bdms.model import METADATA
from ctao_bdms.model.plugin_filters import DEC, NAME, NEAR, PAGE, RA, RESERVED, SIZE, VALID, Cone
from ctao_bdms.server.schema import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select

__all__ = ["Page", "counts", "page_of", "special"]

_WORDS = frozenset(word.partition(".")[2] for word in (PAGE, NEAR, VALID))
_FROM, _TO = TABLE.c.curation__valid_from, TABLE.c.curation__valid_to
_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    NAME: TABLE.c.name,
    SIZE: DataIdentifier.__table__.c.bytes,
    **{key: TABLE.c[key] for key in METADATA},
}


@attrs.frozen(kw_only=True)
class Page:
    """The page requested by a group.

    Attributes
    ----------
    order
        Columns, and whether they are descending.
    after
        Their values and the name in the last row of the previous page; empty for the first page.
    limit
        The most rows; None for all.
    tally
        The key whose values are counted; empty to count all; None to list rows.
    """

    order: tuple[tuple[str, bool], ...] = ()
    after: tuple[Any, ...] = ()
    limit: int | None = None
    tally: str | None = None

    def counts(self, found: Select[Any]) -> Select[Any]:
        """Return the query for the counts."""
        columns = [_COLUMNS[self.tally]] if self.tally else []
        return found.with_only_columns(*columns, func.count()).group_by(*columns)

    def selects(self, found: Select[Any]) -> Iterator[Select[Any]]:
        """Yield the queries for the rows of this page in order, each without its limit.

        Rows without a value of the first key have a query of their own, so that the others can use the order of an
        index.
        """
        if not self.order:
            yield self._ordered(found, self.order, self.after)
            return
        (key, down), *rest = self.order
        column = _COLUMNS[key]
        if not self.after or self.after[0] is not None:
            first = column.desc() if down else column.asc()
            there = found.where(column.is_not(None)).order_by(first)
            if self.after:
                want = literal(self.after[0], column.type)
                further, not_before = (column < want, column <= want) if down else (column > want, column >= want)
                there = there.where(not_before, or_(further, self._beyond(rest, self.after[1:])))
            yield self._ordered(there, rest)
        after = self.after[1:] if self.after and self.after[0] is None else ()
        yield self._ordered(found.where(column.is_(None)), rest, after)

    def _ordered(self, found: Select[Any], order: Sequence[tuple[str, bool]], after: Sequence[Any] = ()) -> Select[Any]:
        """Return a query with an order, beginning after a row."""
        directed = [_COLUMNS[key].desc() if down else _COLUMNS[key].asc() for key, down in order]
        ordered = found.order_by(*(each.nulls_last() for each in directed), TABLE.c.name)
        return ordered.where(self._beyond(order, after)) if after else ordered

    @staticmethod
    def _beyond(order: Sequence[tuple[str, bool]], after: Sequence[Any]) -> ColumnElement[bool]:
        """Return the condition for the rows after a row; missing values come last."""
        *values, name = after
        beyond: ColumnElement[bool] = TABLE.c.name > name
        for (key, down), value in reversed(list(zip(order, values, strict=True))):
            column = _COLUMNS[key]
            if value is None:
                beyond = and_(column.is_(None), beyond)
            else:
                want = literal(value, column.type)
                further = column < want if down else column > want
                beyond = or_(further, column.is_(None), and_(column == want, beyond))
        return beyond


def page_of(groups: Sequence[Mapping[str, Any]]) -> Page | None:
    """Return the page that `groups` request; None if they request none.

    Raises
    ------
    DIDFilterSyntaxError
        If it cannot be parsed.
    """
    asked = next((group[PAGE] for group in groups if PAGE in group), None)
    if asked is None:
        return None
    try:
        order = tuple((word.removeprefix("-"), word.startswith("-")) for word in asked.get("order", ()))
        after, limit, tally = tuple(asked.get("after", ())), asked.get("limit"), asked.get("tally")
        if {*(key for key, _ in order), tally or NAME} - set(_COLUMNS) or (after and len(after) != len(order) + 1):
            raise ValueError
        if limit is not None and int(limit) < 0:
            raise ValueError
        values = (_value(key, value) for (key, _), value in zip(order, after, strict=False))
        return Page(
            order=order,
            after=(*values, str(after[-1])) if after else (),
            limit=None if limit is None else int(limit),
            tally=tally,
        )
    except (AttributeError, TypeError, ValueError) as error:
        msg = f"{PAGE!r} with {asked!r} is not a valid page"
        raise DIDFilterSyntaxError(msg) from error


def _value(key: str, value: object) -> object:
    """Return the value of a column in the last row of the previous page."""
    return METADATA[key].parse(value) if key in METADATA and value is not None else value


def special(text: str, value: object) -> ColumnElement[bool] | None:
    """Return the condition for one of our special keys; None for any other key.

    Raises
    ------
    InvalidMetadata
        If its value is invalid.
    """
    key, _, word = text.partition(".")
    if key != RESERVED or word not in _WORDS:
        return None
    try:
        if text == NEAR:
            return _near(Cone(*(value if isinstance(value, list | tuple) else ())))
        if text == VALID:
            at = METADATA["curation__valid_from"].parse(value)
            return and_(or_(_FROM.is_(None), at >= _FROM), or_(_TO.is_(None), at < _TO))
    except (TypeError, ValueError) as error:
        raise InvalidMetadata(f"{text!r} with {value!r} is not valid: {error}") from error
    return ~false()


def _near(cone: Cone) -> ColumnElement[bool]:
    """Return whether a pointing is in a cone; the haversine is accurate at small angles, at the poles and at RA 0."""
    ra, dec = TABLE.c[RA], TABLE.c[DEC]
    across = func.power(func.sin(func.radians(ra - cone.ra_deg) / 2), 2)
    up = func.power(func.sin(func.radians(dec - cone.dec_deg) / 2), 2)
    scale = math.cos(math.radians(cone.dec_deg))
    return and_(
        dec.between(*cone.declinations),  # redundant, but uses an index
        up + func.cos(func.radians(dec)) * scale * across <= cone.haversine,
    )


def counts(tally: str, rows: Iterable[Sequence[Any]]) -> Iterable[dict[str, Any]]:
    """Yield the counts of a tally as JSON values."""
    for row in rows:
        value = METADATA[tally].to_wire(row[0]) if tally and row[0] is not None else None
        yield {"value": value, "count": row[-1]}
