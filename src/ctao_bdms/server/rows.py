"""Write metadata rows in bulk: collect them during a transaction, write them at its end.

Rucio passes the metadata of a batch one file at a time. One statement for each would cost a round trip per file, and
would also make Rucio's session insert the new files one by one. So rows are collected in the session, and written when
it commits or when a query needs them, with one statement for each set of keys.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rucio.common.exception import DataIdentifierNotFound
from sqlalchemy import event, func, literal
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ctao_bdms.model import METADATA
from ctao_bdms.server.schema import FREE, TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio.common.types import InternalScope
    from sqlalchemy.dialects.postgresql import Insert

__all__ = ["put", "write"]

_WAITING = "ctao_bdms.server.rows"


def put(scope: InternalScope, name: str, values: Mapping[str, object], session: Session) -> None:
    """Set the metadata of one DID when the transaction commits.

    Parameters
    ----------
    scope, name
        The DID (scope as ``InternalScope``).
    values
        Checked values by key; other keys keep their values.
    """
    session.info.setdefault(_WAITING, {}).setdefault((scope, name), {}).update(values)


@event.listens_for(Session, "before_commit")
def write(session: Session) -> None:
    """Write the collected rows of `session`.

    Raises
    ------
    DataIdentifierNotFound
        If one of the DIDs does not exist.
    """
    waiting = session.info.pop(_WAITING, None)
    if not waiting:
        return
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for (scope, name), values in sorted(waiting.items(), key=_by_name):  # a fixed order avoids deadlocks
        row = _columns(values)
        groups.setdefault(tuple(sorted(row)), []).append({"scope": scope, "name": name, **row})
    session.flush()
    for keys, rows in groups.items():
        try:
            session.execute(_upsert(keys), rows)
        except IntegrityError as error:
            # the only constraint of the table is the foreign key to Rucio's DIDs
            which = getattr(getattr(error.orig, "diag", None), "message_detail", None) or error.orig
            msg = f"cannot set metadata of a DID that does not exist: {which}"
            raise DataIdentifierNotFound(msg) from error


def _columns(values: Mapping[str, object]) -> dict[str, object]:
    """Return values by column: one for each key of the data model, one for all free keys."""
    row = {key: value for key, value in values.items() if key in METADATA}
    if len(row) < len(values):
        row[FREE] = {key: value for key, value in values.items() if key not in METADATA}
    return row


def _by_name(item: tuple[tuple[InternalScope, str], Any]) -> tuple[str, str]:
    return item[0][1], item[0][0].internal


@event.listens_for(Session, "after_rollback")
def _discard(session: Session) -> None:
    """Drop the rows of a transaction that failed."""
    session.info.pop(_WAITING, None)


@lru_cache(maxsize=1024)
def _upsert(keys: tuple[str, ...]) -> Insert:
    """Return the statement that sets `keys`; cached, because building it costs more than executing it."""
    statement = insert(TABLE)
    changes: dict[str, Any] = {key: statement.excluded[key] for key in keys}
    if FREE in changes:
        changes[FREE] = func.coalesce(TABLE.c[FREE], literal({}, JSONB())).concat(statement.excluded[FREE])
    return statement.on_conflict_do_update(index_elements=[TABLE.c.scope, TABLE.c.name], set_=changes)
