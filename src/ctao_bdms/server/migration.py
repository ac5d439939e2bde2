"""Create the metadata table or upgrade it to this version without loss of data.

The migration compares the existing table with that of the code. It adds what is missing and removes nothing: a column
that the data model has dropped stays, with its values.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rucio.common.exception import DatabaseException
from rucio.db.sqla.session import get_engine
from sqlalchemy import Text, bindparam, func, inspect, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateColumn, CreateIndex, SetColumnComment

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import METADATA
from ctao_bdms.server.schema import FREE, MAX_INDEXED_LENGTH, TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Column, Connection
    from sqlalchemy.engine.interfaces import ReflectedColumn

__all__ = ["migrate"]

_LOG = logging.getLogger(__name__)
#: The key of the advisory lock, so that only one server migrates at a time: "ctao" as a number.
_LOCK = 0x6374616F
_BULK = 1000
_EMPTY = literal({}, JSONB())


def migrate() -> tuple[str, ...]:
    """Create the metadata table in Rucio's database, or upgrade it to this version, in one transaction.

    Values of free keys that are now in the data model move to their columns; values that do not fit stay free.
    Building a new index blocks writers.

    Returns
    -------
    tuple of str
        The changes, one short phrase each; empty if the table was up to date.

    Raises
    ------
    DatabaseException
        If the type of a column differs from that in this version.
    """
    with get_engine().begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        if not inspect(connection).has_table(TABLE.name, TABLE.schema):
            TABLE.create(connection)
            return (f"table {TABLE.name} created",)
        done = _add_columns(connection) + _add_indexes(connection)
    for phrase in done:
        _LOG.info("%s: %s", TABLE.name, phrase)
    return tuple(done)


def _add_columns(connection: Connection) -> list[str]:
    """Add the missing columns."""
    there = {column["name"]: column for column in inspect(connection).get_columns(TABLE.name, TABLE.schema)}
    table = connection.dialect.identifier_preparer.format_table(TABLE)
    new = [column for column in TABLE.columns if column.name not in there]
    done = _widen(connection, table, there)
    for column in new:
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {definition}"))
        connection.execute(SetColumnComment(column))
        done.append(f"column {column.name} added")
        if FREE in there:
            done += _move(connection, column)
    return done


def _widen(connection: Connection, table: str, there: Mapping[str, ReflectedColumn]) -> list[str]:
    """Convert texts with a length limit to unlimited ones; raise for any other difference of types."""
    done, dialect = [], connection.dialect
    for column in TABLE.columns:
        wanted, found = column.type, there[column.name]["type"] if column.name in there else column.type
        if wanted.compile(dialect).partition(" COLLATE")[0] == found.compile(dialect).partition(" COLLATE")[0]:
            continue
        definition = str(CreateColumn(column).compile(dialect=dialect))
        if not isinstance(wanted, Text) or found.python_type is not str:
            msg = (
                f"column {column.name} of {table} has the type {found.compile(dialect)}, but this version of ctao-bdms "
                f"stores {wanted.compile(dialect)}; convert it first"
            )
            raise DatabaseException(msg)
        connection.execute(text(f"ALTER TABLE {table} ALTER COLUMN {definition.replace(' ', ' TYPE ', 1)}"))
        done.append(f"column {column.name} widened")
    return done


def _move(connection: Connection, column: Column[Any]) -> list[str]:
    """Move the values of a free key to its new column, as far as they fit."""
    row, free = METADATA[column.name], TABLE.c[FREE]
    found = select(TABLE.c.scope, TABLE.c.name, free[row.key]).where(free.has_key(row.key))
    fitting, others = [], 0
    for scope, name, value in connection.execute(found):
        try:
            parsed = row.parse(value)
        except InvalidMetadataError:
            others += 1
            continue
        if row.indexed and isinstance(parsed, str) and len(parsed) > MAX_INDEXED_LENGTH:
            others += 1
            continue
        fitting.append({"at_scope": scope, "at_name": name, "parsed": parsed})
    here = (TABLE.c.scope == bindparam("at_scope"), TABLE.c.name == bindparam("at_name"))
    change = update(TABLE).where(*here).values({column: bindparam("parsed"), free: func.nullif(free - row.key, _EMPTY)})
    for start in range(0, len(fitting), _BULK):
        connection.execute(change, fitting[start : start + _BULK])
    if others:
        _LOG.warning("%d values of the free key %s are not of type %s and stay free", others, row.key, row.type.value)
    return [f"{len(fitting)} values of {row.key} moved, {others} do not fit"] if fitting or others else []


def _add_indexes(connection: Connection) -> list[str]:
    """Add the missing indexes, identified by name."""
    there = {index["name"] for index in inspect(connection).get_indexes(TABLE.name, TABLE.schema)}
    new = sorted((index for index in TABLE.indexes if index.name not in there), key=lambda index: str(index.name))
    for index in new:
        connection.execute(CreateIndex(index))
    return [f"index {index.name} added" for index in new]
