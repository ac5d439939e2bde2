"""The table of metadata: one row for each data identifier that has any.

Each key of the data model has a typed column. Keys that the data model does not know stand together in one column more.
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

#: The longest text, in characters, of a key with an index.
MAX_INDEXED_LENGTH = 250

#: The column of the keys that the data model does not know.
FREE = "free"

#: Begin and end of the data in a product, which questions for an interval of time compare.
BEGIN = "observation__coverage__time__t_min"
END = "observation__coverage__time__t_max"

#: The key that makes the index of another one narrower, for questions that ask for both.
_COMPANIONS: Mapping[str, str] = {
    "instance__observing_night": "instance__ae_id",
    "curation__release": "data__level",
}

# Collation "C": one index serves equality, ranges and prefixes, and no locale changes an answer.
_TYPES: dict[ValueType, TypeEngine[Any]] = {
    ValueType.STR: Text(collation="C"),
    ValueType.INT: BigInteger(),
    ValueType.FLOAT: Double(),
    ValueType.BOOL: Boolean(),
    ValueType.TIME: DateTime(timezone=True),
    ValueType.DATE: Date(),
}


def between(first: ColumnElement[Any], second: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the interval between two times, whichever comes first and with both of them."""
    # of a lower bound above the upper one, PostgreSQL would make an error
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
        # What Rucio deletes, for whatever reason and by whichever of its daemons, leaves no row behind.
        ForeignKeyConstraint(["scope", "name"], [scope, name], name="ctao_metadata_dids_fk", ondelete="CASCADE"),
    )
    for row in METADATA.values():
        if row.indexed:
            _index(table, row)
    # Prefixes of names in every locale; the primary key serves them in the locale "C" only.
    Index("ctao_metadata_name_idx", table.c.name, postgresql_ops={"name": "text_pattern_ops"})
    # "before then, and after then" is half the table for each of two indexes, and little for one on the interval.
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


#: The table, in the schema where Rucio's own tables are.
TABLE = _table()
