"""The metadata table: one row for each DID with metadata.

Each key of the data model has a typed column. All other keys are stored in one JSON column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rucio.db.sqla.models import DataIdentifier
from rucio.db.sqla.session import DEFAULT_SCHEMA_NAME
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
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from ctao_bdms.model import METADATA, ValueType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.types import TypeEngine

    from ctao_bdms.model import MetadataKey

__all__ = ["BEGIN", "END", "FREE", "MAX_INDEXED_LENGTH", "TABLE", "between"]

#: The maximum length of a text with an index, in characters.
MAX_INDEXED_LENGTH = 250

#: The column of the free keys, which are not in the data model.
FREE = "free"

#: Begin and end of the data in a product, for queries by time interval.
BEGIN = "observation__coverage__time__t_min"
END = "observation__coverage__time__t_max"

#: The second key of a combined index, for queries with both keys.
_COMPANIONS: Mapping[str, str] = {
    "instance__observing_night": "instance__ae_id",
    "curation__release": "data__level",
}

# Collation "C": one index serves equality, ranges and prefixes, and results do not depend on the locale.
_TYPES: dict[ValueType, TypeEngine[Any]] = {
    ValueType.STR: Text(collation="C"),
    ValueType.INT: BigInteger(),
    ValueType.FLOAT: Double(),
    ValueType.BOOL: Boolean(),
    ValueType.TIME: DateTime(timezone=True),
    ValueType.DATE: Date(),
}


def between(first: ColumnElement[Any], second: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the closed interval between two times in any order."""
    # PostgreSQL raises an error if the lower bound is above the upper one
    return func.tstzrange(func.least(first, second), func.greatest(first, second), text("'[]'"))


def _table() -> Table:
    dids = DataIdentifier.__table__
    scope, name = dids.c.scope, dids.c.name
    table = Table(
        "ctao_metadata",
        MetaData(schema=DEFAULT_SCHEMA_NAME),
        Column("scope", scope.type, primary_key=True),
        Column("name", name.type, primary_key=True),
        *(Column(row.key, _TYPES[row.type], comment=row.description) for row in METADATA.values()),
        Column(FREE, JSONB(none_as_null=True), comment="keys that the data model does not know"),
        # When Rucio deletes a DID, by any of its daemons, the database deletes the metadata as well.
        ForeignKeyConstraint(["scope", "name"], [scope, name], name="ctao_metadata_dids_fk", ondelete="CASCADE"),
    )
    for row in METADATA.values():
        if row.indexed:
            _index(table, row)
    # For prefixes of names in every locale; the primary key serves them in the locale "C" only.
    Index("ctao_metadata_name_idx", table.c.name, postgresql_ops={"name": "text_pattern_ops"})
    # Two conditions, on begin and on end, would each select half of the table; an index on the interval is selective.
    Index(
        "ctao_metadata_interval_idx",
        between(table.c[BEGIN], table.c[END]),
        postgresql_using="gist",
        postgresql_where=table.c[BEGIN].is_not(None),
    )
    Index(
        "ctao_metadata_free_idx",
        table.c[FREE],
        postgresql_using="gin",
        postgresql_ops={FREE: "jsonb_path_ops"},
        postgresql_where=table.c[FREE].is_not(None),
    )
    return table


def _index(table: Table, row: MetadataKey) -> None:
    """Add the index of a key."""
    keys = [row.key, _COMPANIONS[row.key]] if row.key in _COMPANIONS else [row.key]
    columns = [table.c[key] for key in keys]
    Index(f"ctao_metadata_{'_'.join(keys)}_idx", *columns, postgresql_where=columns[0].is_not(None))


#: The table, in the schema of Rucio's own tables.
TABLE = _table()
