"""The metadata plugin: CTAO's keys, typed and indexed, in Rucio's own database and transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask
from rucio.common.exception import AccessDenied, DataIdentifierNotFound, KeyNotFound
from rucio.common.types import InternalAccount
from rucio.core.did_meta_plugins.did_meta_plugin_interface import DidMetaPlugin
from rucio.db.sqla.models import DataIdentifier, DataIdentifierAssociation
from sqlalchemy import and_, bindparam, select, true, tuple_, update

from ctao_bdms.model import METADATA
from ctao_bdms.model.plugin_filters import HEADER
from ctao_bdms.server.bulk import asked_for
from ctao_bdms.server.filters import IN_DATASET, condition
from ctao_bdms.server.paging import Page, counts, page_of
from ctao_bdms.server.rows import put, write
from ctao_bdms.server.schema import FREE, TABLE
from ctao_bdms.server.values import checked, is_free

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from rucio.common.types import InternalScope
    from sqlalchemy import CTE, Row, Select
    from sqlalchemy.orm import Session


__all__ = ["CtaoMetadata"]

_DIDS = DataIdentifier.__table__
_SAME = and_(TABLE.c.scope == _DIDS.c.scope, TABLE.c.name == _DIDS.c.name)
_ALL = tuple(TABLE.c[column] for column in (*METADATA, FREE))
_ONE = (
    select(*_ALL)
    .select_from(_DIDS.outerjoin(TABLE, _SAME))
    .where(_DIDS.c.scope == bindparam("scope"), _DIDS.c.name == bindparam("name"))
)
_FOUND = select(_DIDS.c.scope, _DIDS.c.name).join(TABLE, _SAME).where(_DIDS.c.suppressed.is_distinct_from(true()))
#: What a dataset holds is found also if nothing is known of it.
_HELD = select(_DIDS.c.scope, _DIDS.c.name).outerjoin(TABLE, _SAME)


#: What the long form of a search adds to scope and name: all that a table of products shows, in the one question.
_LONG = (
    *(_DIDS.c[column] for column in ("did_type", "bytes", "length", "adler32")),
    *_ALL,
)


class CtaoMetadata(DidMetaPlugin):  # type: ignore[misc]
    """Rucio's interface to the table of typed metadata.

    It answers for every key that is not one of Rucio's columns: those of the data model have types, all others are kept
    as they come. Rucio passes the session of its transaction to every call and
    opens none here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._plugin_name = "CTAO"

    def manages_key(self, key: str, *, session: Session | None = None) -> bool:
        """Return True: what Rucio's columns do not hold is ours to keep or to refuse."""
        return True

    def get_metadata(self, scope: InternalScope, name: str, *, session: Session) -> dict[str, Any]:
        """Return the metadata of a data identifier as JSON can carry them; keys without a value are absent.

        In a request for many that inherit, those of all parents are among them.

        Raises
        ------
        DataIdentifierNotFound
            If there is no such data identifier.
        """
        write(session)
        together = asked_for(scope, name, session, _ALL, _wire)
        if together is not None:
            return together
        row = session.execute(_ONE, {"scope": scope, "name": name}).one_or_none()
        if row is None:
            msg = f"there is no data identifier {scope.external}:{name}"
            raise DataIdentifierNotFound(msg)
        return _wire(row)

    def set_metadata(
        self,
        scope: InternalScope,
        name: str,
        key: str,
        value: object,
        recursive: bool = False,
        *,
        session: Session,
    ) -> None:
        """Set one key; as `set_metadata_bulk`."""
        self.set_metadata_bulk(scope, name, {key: value}, recursive, session=session)

    def set_metadata_bulk(
        self,
        scope: InternalScope,
        name: str,
        metadata: Mapping[str, object],
        recursive: bool = False,
        *,
        session: Session,
    ) -> None:
        """Set keys of a data identifier, and of all that it contains if `recursive`.

        Raises
        ------
        InvalidMetadata
            If a key cannot exist or a value does not fit it.
        DataIdentifierNotFound
            If there is no such data identifier; when the transaction ends.
        """
        values = {key: checked(key, value) for key, value in metadata.items()}
        put(scope, name, values, session)
        if recursive:
            here = select(_DIDS.c.scope, _DIDS.c.name).where(_DIDS.c.scope == scope, _DIDS.c.name == name)
            for child_scope, child in session.execute(select(_content_of(here))):
                put(child_scope, child, values, session)

    def delete_metadata(self, scope: InternalScope, name: str, key: str, *, session: Session) -> None:
        """Remove a key's value.

        Raises
        ------
        AccessDenied
            If the account that asks may not set the key either.
        KeyNotFound
            If the key has no value there.
        InvalidMetadata
            If the key cannot exist.
        """
        _require_right_to_change(scope, name, key, session)
        write(session)
        free = TABLE.c[FREE]
        here = and_(TABLE.c.scope == scope, TABLE.c.name == name)
        if is_free(key):
            change = update(TABLE).where(here, free.has_key(key)).values({free: free - key})
        else:
            change = update(TABLE).where(here, TABLE.c[key].is_not(None)).values({TABLE.c[key]: None})
        if session.execute(change).rowcount == 0:  # type: ignore[attr-defined]
            msg = f"{scope.external}:{name} has no metadata {key!r}"
            raise KeyNotFound(msg)

    def list_dids(
        self,
        scope: InternalScope,
        filters: dict[str, Any] | Sequence[dict[str, Any]],
        did_type: str = "collection",
        ignore_case: bool = False,
        limit: int | None = None,
        offset: int | None = None,
        long: bool = False,
        recursive: bool = False,
        ignore_dids: set[str] | None = None,
        *,
        session: Session,
    ) -> Iterator[str | dict[str, Any]]:
        """Yield the data identifiers of a scope that `filters` describe (see `ctao_bdms.server.filters`).

        A group that asks for a page is answered by its long rows in order, or by counts, after a row that says so; see
        `ctao_bdms.model.plugin_filters`.

        Parameters
        ----------
        scope
            The scope (``InternalScope``).
        filters
            One group of conditions, or several of which one must hold.
        did_type
            ``file``, ``dataset``, ``container``, ``collection`` or ``all``.
        ignore_case
            Without effect, as in Rucio.
        limit, offset
            How many to yield at most, and to skip; without `recursive`.
        long
            True for dictionaries with scope, name, type, size in bytes, number of files, Adler-32 and all metadata as
            `get_metadata` returns them; False for names.
        recursive
            True to yield also what the collections found contain, at any depth and in any scope, if it meets the
            conditions but those on the name.
        ignore_dids
            Data identifiers (``scope:name``) to leave out.
        session
            The session of the transaction.
        """
        write(session)
        groups = [filters] if isinstance(filters, dict) else list(filters)
        base = _HELD if all(IN_DATASET in group for group in groups) else _FOUND
        here = base.where(_DIDS.c.scope == scope, condition(groups, did_type))
        page = page_of(groups)
        if page is not None:
            yield from _paged(page, here.where(TABLE.c.scope == scope), session)
            return
        questions = [here.limit(limit).offset(offset)]
        if recursive:
            collections = _FOUND.with_only_columns(_DIDS.c.scope, _DIDS.c.name).where(
                _DIDS.c.scope == scope, condition(groups, did_type)
            )
            inside = tuple_(_DIDS.c.scope, _DIDS.c.name).in_(select(_content_of(collections)))
            questions = [here, _FOUND.where(inside, condition(groups, did_type, by_name=False))]
        seen = set(ignore_dids or ())
        for question in questions:
            for row in session.execute(question.add_columns(*_LONG) if long else question):
                did = f"{row.scope.external}:{row.name}"
                if did in seen:
                    continue
                seen.add(did)
                yield _long(row) if long else row.name


def _paged(page: Page, found: Select[Any], session: Session) -> Iterator[dict[str, Any]]:
    """Yield the row by which a client knows that it was understood, and what it asked for."""
    yield dict(HEADER)
    if page.tally is not None:
        yield from counts(page.tally, session.execute(page.counts(found)))
        return
    left = page.limit
    for question in page.selects(found.add_columns(*_LONG)):
        rows = session.execute(question.limit(left)).all() if left != 0 else ()
        yield from map(_long, rows)
        left = None if left is None else left - len(rows)


def _long(row: Row[Any]) -> dict[str, Any]:
    """Return a row as Rucio's long form."""
    return {
        "scope": row.scope,
        "name": row.name,
        "did_type": row.did_type.name,
        "bytes": row.bytes,
        "length": row.length,
        "adler32": row.adler32,
        **_wire(row[-len(_ALL) :]),
    }


def _wire(values: Sequence[Any]) -> dict[str, Any]:
    """Return the values of all columns as JSON can carry them, free keys among them; without a value, no key."""
    *typed, free = values
    found = {key: METADATA[key].to_wire(value) for key, value in zip(METADATA, typed, strict=True) if value is not None}
    return {**(free or {}), **found}


def _require_right_to_change(scope: InternalScope, name: str, key: str, session: Session) -> None:
    """Refuse if the account behind the REST request that is being served may not set `key`: Rucio asks nobody.

    Outside of a request there is no account to ask about: daemons and administrators' scripts may.

    Raises
    ------
    AccessDenied
        If it may not.
    """
    if not flask.has_request_context():
        return
    from rucio.core.permission import has_permission  # it imports the policy, which Rucio loads after its plugins

    issuer = flask.request.environ["issuer"]
    account = InternalAccount(issuer, vo=flask.request.environ["vo"])
    asked = {"scope": scope, "name": name, "key": key, "value": None}
    result = has_permission(issuer=account, action="set_metadata", kwargs=asked, session=session)
    if not result.allowed:
        msg = f"Account {issuer} can not delete metadata of {scope.external}:{name}. {result.message}"
        raise AccessDenied(msg)


def _content_of(collections: Select[Any]) -> CTE:
    """Return scope and name of `collections`, a question that yields these two, and of everything in them."""
    link = DataIdentifierAssociation.__table__
    found = collections.cte("content", recursive=True)
    below = select(link.c.child_scope, link.c.child_name).join(
        found, and_(link.c.scope == found.c.scope, link.c.name == found.c.name)
    )
    return found.union(below)
