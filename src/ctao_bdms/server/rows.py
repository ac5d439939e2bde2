"""How rows get into the table: collected during a transaction, written in few statements at its end.

Rucio hands over the metadata of a batch one file at a time. A statement for each would cost a round trip, and would
make Rucio's own session send the new files one by one as well. Rows therefore wait in the session and are written when
it commits, or when somebody reads: one statement for each set of keys, whatever the number of files.
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
    """Set the metadata of one data identifier, together with the rest of the transaction.

    Parameters
    ----------
    scope, name
        The data identifier (scope as ``InternalScope``).
    values
        Checked values by key; keys that are not given keep their value.
    session
        The session of the transaction.
    """
    session.info.setdefault(_WAITING, {}).setdefault((scope, name), {}).update(values)


@event.listens_for(Session, "before_commit")
def write(session: Session) -> None:
    """Write the rows that wait in `session`.

    Raises
    ------
    DataIdentifierNotFound
        If one of the data identifiers does not exist.
    """
    waiting = session.info.pop(_WAITING, None)
    if not waiting:
        return
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for (scope, name), values in sorted(waiting.items(), key=_by_name):  # one order for all, lest they lock each other
        row = _columns(values)
        groups.setdefault(tuple(sorted(row)), []).append({"scope": scope, "name": name, **row})
    session.flush()
    for keys, rows in groups.items():
        try:
            session.execute(_upsert(keys), rows)
        except IntegrityError as error:
            # the row's only constraint is that Rucio knows its data identifier
            which = getattr(getattr(error.orig, "diag", None), "message_detail", None) or error.orig
            msg = f"there is no such data identifier to set metadata of: {which}"
            raise DataIdentifierNotFound(msg) from error


def _columns(values: Mapping[str, object]) -> dict[str, object]:
    """Return values by column: one for each key of the data model, one for all free keys together."""
    row = {key: value for key, value in values.items() if key in METADATA}
    if len(row) < len(values):
        row[FREE] = {key: value for key, value in values.items() if key not in METADATA}
    return row


def _by_name(item: tuple[tuple[InternalScope, str], Any]) -> tuple[str, str]:
    return item[0][1], item[0][0].internal


@event.listens_for(Session, "after_rollback")
def _discard(session: Session) -> None:
    """Forget the rows of a transaction that failed."""
    session.info.pop(_WAITING, None)


@lru_cache(maxsize=1024)
def _upsert(keys: tuple[str, ...]) -> Insert:
    """Return the statement that sets `keys`; to build it costs more than to run it."""
    statement = insert(TABLE)
    changes: dict[str, Any] = {key: statement.excluded[key] for key in keys}
    if FREE in changes:
        changes[FREE] = func.coalesce(TABLE.c[FREE], literal({}, JSONB())).concat(statement.excluded[FREE])
    return statement.on_conflict_do_update(index_elements=[TABLE.c.scope, TABLE.c.name], set_=changes)
