"""Read the metadata of a bulk request in one query, with those inherited from datasets and containers.

Rucio calls a plugin once for each DID. For a DID with several parents it follows only one, which need not be the
directory with the metadata. So the first call reads the list of DIDs from the body of the REST request and computes
the answers for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask
from rucio.common.types import InternalScope
from rucio.db.sqla.models import DataIdentifierAssociation
from sqlalchemy import ARRAY, String, and_, func, literal, select

from ctao_bdms.server.schema import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import TableValuedAlias
    from sqlalchemy.orm import Session

__all__ = ["asked_for"]

_Node = tuple[str, str]  # internal scope, name
_LINK = DataIdentifierAssociation.__table__
_ANSWER = "ctao_bdms_metadata"


def asked_for(
    scope: InternalScope, name: str, session: Session, columns: Sequence[Any], wire: Callable[[Any], dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the metadata of a DID if the current REST request is a bulk request.

    Parameters
    ----------
    scope, name
        The DID.
    columns, wire
        The columns to read, and the function that converts a row to metadata.

    Returns
    -------
    dict or None
        With the metadata of all parents if the request inherits; the nearest parent wins. None if this is no bulk
        request.
    """
    if not flask.has_request_context() or not flask.request.path.endswith("/dids/bulkmeta"):
        return None
    answer: dict[_Node, dict[str, Any]] | None = flask.g.get(_ANSWER)
    if answer is None:
        body = flask.request.get_json(force=True, silent=True)
        asked = body if isinstance(body, dict) else {}
        vo = flask.request.environ["vo"]
        nodes = [(InternalScope(did["scope"], vo=vo).internal, did["name"]) for did in asked.get("dids", [])]
        answer = _answer(nodes, bool(asked.get("inherit")), session, columns, wire)
        flask.g.setdefault(_ANSWER, answer)
    return answer.get((scope.internal, name))


def _answer(
    nodes: Sequence[_Node],
    inherit: bool,
    session: Session,
    columns: Sequence[Any],
    wire: Callable[[Any], dict[str, Any]],
) -> dict[_Node, dict[str, Any]]:
    """Return the metadata of `nodes`, and if `inherit` of all their parents."""
    parents = _parents(nodes, session) if inherit else {}
    every = {*nodes, *(parent for above in parents.values() for parent in above)}
    given = _given(every)
    found = select(TABLE.c.scope, TABLE.c.name, *columns).join(
        given, and_(TABLE.c.scope == given.c.scope, TABLE.c.name == given.c.name)
    )
    own = {(row[0].internal, row[1]): wire(row[2:]) for row in session.execute(found)}
    return {node: _merged(node, parents, own) for node in every if parents or node in own}


def _given(nodes: Iterable[_Node]) -> TableValuedAlias:
    """Return `nodes` as a table with two array parameters, so that the statement does not depend on their number."""
    scopes, names = zip(*nodes, strict=True) if (nodes := list(nodes)) else ((), ())
    arrays = [literal(list(values), ARRAY(String())) for values in (scopes, names)]
    return func.unnest(*arrays).table_valued("scope", "name").render_derived()


def _parents(nodes: Sequence[_Node], session: Session) -> dict[_Node, list[_Node]]:
    """Return the parents of `nodes` and of all their parents, recursively."""
    given = _given(nodes)
    found = select(given.c.scope, given.c.name).cte("found", recursive=True)
    child = and_(_LINK.c.child_scope == found.c.scope, _LINK.c.child_name == found.c.name)
    found = found.union(select(_LINK.c.scope, _LINK.c.name).join(found, child))
    child = and_(_LINK.c.child_scope == found.c.scope, _LINK.c.child_name == found.c.name)
    links = select(_LINK.c.child_scope, _LINK.c.child_name, _LINK.c.scope, _LINK.c.name).join(found, child)
    parents: dict[_Node, list[_Node]] = {}
    for child_scope, child_name, scope, name in session.execute(links):
        parents.setdefault((child_scope.internal, child_name), []).append((scope.internal, name))
    return parents


def _merged(node: _Node, parents: Mapping[_Node, list[_Node]], own: Mapping[_Node, dict[str, Any]]) -> dict[str, Any]:
    """Return the metadata of `node` with those inherited, nearest parents first."""
    merged: dict[str, Any] = {}
    seen: set[_Node] = set()
    generation = [node]
    while generation:
        for each in sorted(generation):
            merged = own.get(each, {}) | merged
        seen.update(generation)
        generation = [above for each in generation for above in parents.get(each, []) if above not in seen]
    return merged
