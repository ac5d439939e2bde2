"""The metadata plugin: typed and indexed CTAO keys in Rucio's own database and transactions."""

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
#: An outer join, because files without metadata are also part of a dataset.
_HELD = select(_DIDS.c.scope, _DIDS.c.name).outerjoin(TABLE, _SAME)


#: The additional columns of the long form: all that a table of products needs, in one query.
_LONG = (
    *(_DIDS.c[column] for column in ("did_type", "bytes", "length", "adler32")),
    *_ALL,
)


class CtaoMetadata(DidMetaPlugin):  # type: ignore[misc]
    """Rucio's plugin interface to the table of typed metadata.

    It handles every key that is not one of Rucio's columns: keys of the data model have types, all others are stored
    as they are. Rucio passes the session of its transaction to every call; the plugin opens none.
    """

    def __init__(self) -> None:
        super().__init__()
        self._plugin_name = "CTAO"

    def manages_key(self, key: str, *, session: Session | None = None) -> bool:
        """Return True: this plugin stores or rejects all keys that are not columns of Rucio."""
        return True

    def get_metadata(self, scope: InternalScope, name: str, *, session: Session) -> dict[str, Any]:
        """Return the metadata of a DID as JSON values; keys without a value are absent.

        In a bulk request with inheritance, those of all parents are included.

        Raises
        ------
        DataIdentifierNotFound
            If there is no such DID.
        """
        write(session)
        together = asked_for(scope, name, session, _ALL, _wire)
        if together is not None:
            return together
        row = session.execute(_ONE, {"scope": scope, "name": name}).one_or_none()
        if row is None:
            msg = f"DID {scope.external}:{name} does not exist"
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
        """Set one key; see `set_metadata_bulk`."""
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
        """Set keys of a DID, and with `recursive` of all its content.

        Raises
        ------
        InvalidMetadata
            If a key is invalid or a value does not fit it.
        DataIdentifierNotFound
            If there is no such DID; raised when the transaction ends.
        """
        values = {key: checked(key, value) for key, value in metadata.items()}
        put(scope, name, values, session)
        if recursive:
            here = select(_DIDS.c.scope, _DIDS.c.name).where(_DIDS.c.scope == scope, _DIDS.c.name == name)
            for child_scope, child in session.execute(select(_content_of(here))):
                put(child_scope, child, values, session)

    def delete_metadata(self, scope: InternalScope, name: str, key: str, *, session: Session) -> None:
        """Remove the value of a key.

        Raises
        ------
        AccessDenied
            If the account may not set the key.
        KeyNotFound
            If the key has no value.
        InvalidMetadata
            If the key is invalid.
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
        """Yield the DIDs of a scope that match `filters` (see `ctao_bdms.server.filters`).

        A group with a page request yields the long rows of that page in order, or counts, after a header row; see
        `ctao_bdms.model.plugin_filters`.

        Parameters
        ----------
        filters
            One group of conditions, or several of which one must hold.
        did_type
            ``file``, ``dataset``, ``container``, ``collection`` or ``all``.
        ignore_case
            No effect, as in Rucio.
        limit, offset
            The most DIDs to yield, and the number to skip; not with `recursive`.
        long
            True for dictionaries with scope, name, type, size in bytes, number of files, Adler-32 and all metadata as
            returned by `get_metadata`; False for names.
        recursive
            True to yield also the content of matching collections, at any depth and in any scope, if it meets all
            conditions except those on the name.
        ignore_dids
            DIDs (``scope:name``) to leave out.
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
            questions = [here, _inside(scope, groups, did_type)]
        seen = set(ignore_dids or ())
        for question in questions:
            for row in session.execute(question.add_columns(*_LONG) if long else question):
                did = f"{row.scope.external}:{row.name}"
                if did in seen:
                    continue
                seen.add(did)
                yield _long(row) if long else row.name


def _inside(scope: InternalScope, groups: Sequence[dict[str, Any]], did_type: str) -> Select[Any]:
    """Return the query for the matching content, at any depth, of the matching collections of a scope."""
    collections = _FOUND.with_only_columns(_DIDS.c.scope, _DIDS.c.name).where(
        _DIDS.c.scope == scope, condition(groups, did_type)
    )
    inside = tuple_(_DIDS.c.scope, _DIDS.c.name).in_(select(_content_of(collections)))
    return _FOUND.where(inside, condition(groups, did_type, by_name=False))


def _paged(page: Page, found: Select[Any], session: Session) -> Iterator[dict[str, Any]]:
    """Yield the header row, which shows the client that the server supports pages, and then the page or the counts."""
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
    """Return a row in Rucio's long form."""
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
    """Return the values of all columns as JSON values, including free keys; keys without a value are absent."""
    *typed, free = values
    found = {key: METADATA[key].to_wire(value) for key, value in zip(METADATA, typed, strict=True) if value is not None}
    return {**(free or {}), **found}


def _require_right_to_change(scope: InternalScope, name: str, key: str, session: Session) -> None:
    """Refuse if the account of the REST request may not set `key`: Rucio does not check deletions of metadata.

    Outside a request there is no account to check: daemons and scripts of administrators are allowed.

    Raises
    ------
    AccessDenied
        If the account may not set the key.
    """
    if not flask.has_request_context():
        return
    # Imported late: it imports the policy, which Rucio loads after its plugins.
    from rucio.core.permission import has_permission

    issuer = flask.request.environ["issuer"]
    account = InternalAccount(issuer, vo=flask.request.environ["vo"])
    asked = {"scope": scope, "name": name, "key": key, "value": None}
    result = has_permission(issuer=account, action="set_metadata", kwargs=asked, session=session)
    if not result.allowed:
        msg = f"Account {issuer} can not delete metadata of {scope.external}:{name}. {result.message}"
        raise AccessDenied(msg)


def _content_of(collections: Select[Any]) -> CTE:
    """Return scope and name of `collections` (a query for these two columns) and of all their content."""
    link = DataIdentifierAssociation.__table__
    found = collections.cte("content", recursive=True)
    below = select(link.c.child_scope, link.c.child_name).join(
        found, and_(link.c.scope == found.c.scope, link.c.name == found.c.name)
    )
    return found.union(below)
