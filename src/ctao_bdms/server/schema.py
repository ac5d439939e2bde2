"""The table of typed metadata: one row for each data identifier that has any, one column for each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rucio.db.sqla.models import DataIdentifier
from rucio.db.sqla.session import DEFAULT_SCHEMA_NAME, get_engine
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Table,
    Text,
)

from ctao_bdms.model import METADATA, ValueType

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

    from ctao_bdms.model import MetadataKey

__all__ = ["MAX_INDEXED_LENGTH", "TABLE", "create_tables"]

#: The longest text, in characters, of a key with an index.
MAX_INDEXED_LENGTH = 250

# Collation "C": one index serves equality, ranges and prefixes, and no locale changes an answer.
_TYPES: dict[ValueType, TypeEngine[Any]] = {
    ValueType.STR: Text(collation="C"),
    ValueType.INT: BigInteger(),
    ValueType.FLOAT: Double(),
    ValueType.BOOL: Boolean(),
    ValueType.TIME: DateTime(timezone=True),
    ValueType.DATE: Date(),
}


def _column(row: MetadataKey) -> Column[Any]:
    """Return the column of a key."""
    if row.indexed and row.type is ValueType.STR:
        return Column(row.key, String(MAX_INDEXED_LENGTH, collation="C"), comment=row.description)
    return Column(row.key, _TYPES[row.type], comment=row.description)


def _table() -> Table:
    dids = DataIdentifier.__table__
    scope, name = dids.c.scope, dids.c.name
    table = Table(
        "ctao_metadata",
        MetaData(schema=DEFAULT_SCHEMA_NAME),
        Column("scope", scope.type, primary_key=True),
        Column("name", name.type, primary_key=True),
        *map(_column, METADATA.values()),
        # What Rucio deletes, for whatever reason and by whichever of its daemons, leaves no row behind.
        ForeignKeyConstraint(["scope", "name"], [scope, name], name="ctao_metadata_dids_fk", ondelete="CASCADE"),
    )
    for row in METADATA.values():
        if row.indexed:
            column = table.c[row.key]
            Index(f"ctao_metadata_{row.key}_idx", column, postgresql_where=column.is_not(None))
    return table


#: The table, in the schema where Rucio's own tables are.
TABLE = _table()


def create_tables() -> None:
    """Create the table and its indexes in Rucio's database if they are not there yet."""
    TABLE.metadata.create_all(get_engine())
