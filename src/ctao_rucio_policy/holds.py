"""Queries for held files: files with a sound copy that is locked by a rule without lifetime.

A file is *preserved* if it is raw data or in a block of the class ``permanent``. Every action that could free a
replica is checked here first. The queries lock their files until the end of the transaction. So two calls that each
leave the other's copy as the last one are decided one after the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ctao_rucio_policy.roles import ROLE_ATTRIBUTE, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = [
    "File",
    "at_risk",
    "awaits_locks",
    "bad_copies",
    "ends",
    "has_preserved",
    "is_endless",
    "is_kept_for_a_while",
    "is_permanent",
    "known_of",
    "lacks_manifest",
    "only_copies",
    "places_above",
    "rules_above",
]

#: A file: its scope (``InternalScope``) and its name.
File = tuple[Any, str]

#: Names of raw data, blocks and manifests in any scope.
_RAW = "^/[^/]+/[^/]+/(DL0|blocks)/"
_BLOCK = "^/[^/]+/[^/]+/blocks/(.+/)?{}-[^/]*$"
_KEPT_FOR_A_WHILE = "(short-term|real-time|user)"
#: The RSE attribute of a storage element whose copies are lost.
_LOST = "lost"


def at_risk(
    dids: Iterable[File],
    *,
    without: Collection[str] = (),
    session: Any,  # noqa: ANN401 (Rucio has no types)
    lock: bool = False,
    preserved: bool = False,
) -> str:
    """Return the name of a preserved file in `dids` that no rule holds; empty if each is held.

    Parameters
    ----------
    dids
        Files, datasets and containers; all files in a collection are checked.
    without
        The identifiers of rules to leave out.
    lock
        Lock the files until the end of the transaction: for calls that remove a rule or a replica.
    preserved
        Treat all files as preserved.
    """
    from rucio.db.sqla.models import DataIdentifier
    from sqlalchemy import select

    for scope, name in dids:
        files = _files_in(scope, name) if preserved else _preserved_files(scope, name)
        if lock:
            rows = select(DataIdentifier.name).where(files).order_by(DataIdentifier.scope, DataIdentifier.name)
            session.execute(rows.with_for_update(key_share=True)).all()
        unheld = select(DataIdentifier.name).where(files, ~_is_held(without)).limit(1)
        if found := session.execute(unheld).scalar():
            return str(found)
    return ""


def only_copies(replicas: Mapping[File, Collection[str]], *, session: Any) -> str:  # noqa: ANN401
    """Return the name of a file whose only sound copies are `replicas`; empty if each file has another.

    For a preserved file, another copy counts if a rule without lifetime holds it. For any other file, it counts if it
    is not about to be deleted. A copy that is already declared bad is no loss.

    Parameters
    ----------
    replicas
        Files, each with the identifiers of the storage elements whose copies are not counted.
    """
    from rucio.db.sqla.constants import ReplicaState
    from rucio.db.sqla.models import DataIdentifier, RSEFileAssociation
    from sqlalchemy import and_, or_, select

    for (scope, name), rse_ids in sorted(replicas.items(), key=lambda item: (str(item[0][0]), item[0][1])):
        did = and_(DataIdentifier.scope == scope, DataIdentifier.name == name)
        session.execute(select(DataIdentifier.name).where(did).with_for_update(key_share=True)).all()
        copy = and_(RSEFileAssociation.scope == scope, RSEFileAssociation.name == name)
        lost = select(RSEFileAssociation.rse_id).where(
            copy, RSEFileAssociation.rse_id.in_(rse_ids), RSEFileAssociation.state != ReplicaState.BAD
        )
        if session.execute(lost.limit(1)).first() is None:
            continue
        kept = or_(RSEFileAssociation.lock_cnt > 0, RSEFileAssociation.tombstone.is_(None))
        other = select(RSEFileAssociation.rse_id).where(
            copy,
            RSEFileAssociation.rse_id.not_in(rse_ids),
            RSEFileAssociation.state == ReplicaState.AVAILABLE,
            RSEFileAssociation.rse_id.not_in(_lost_rses()),
            kept,
        )
        preserved = select(DataIdentifier.name).where(did, _is_preserved())
        held = select(DataIdentifier.name).where(did, _is_held((), elsewhere_than=rse_ids))
        is_preserved = session.execute(preserved.limit(1)).first() is not None
        if session.execute((held if is_preserved else other).limit(1)).first() is None:
            return name
    return ""


def lacks_manifest(block: str, scope: Any, *, session: Any) -> bool:  # noqa: ANN401
    """Return whether a file entered a block after its last manifest, or the block has files and no manifest.

    Parameters
    ----------
    block, scope
        The name of the block, and its scope (``InternalScope``).
    """
    from rucio.db.sqla.models import DataIdentifierAssociation
    from sqlalchemy import and_, func, select

    inside = and_(DataIdentifierAssociation.scope == scope, DataIdentifierAssociation.name == block)
    entered, name = DataIdentifierAssociation.created_at, DataIdentifierAssociation.child_name
    is_manifest = and_(name.startswith(block, autoescape=True), name.endswith(".bagit.tar"))
    listed = session.execute(select(func.max(entered)).where(inside, is_manifest)).scalar()
    unlisted = select(name).where(inside, ~is_manifest)
    late = unlisted if listed is None else unlisted.where(entered > listed)
    return session.execute(late.limit(1)).first() is not None


def has_preserved(scope: Any, name: str, *, session: Any) -> bool:  # noqa: ANN401
    """Return whether a file is preserved, or a dataset or container has preserved files."""
    from rucio.db.sqla.models import DataIdentifier
    from sqlalchemy import select

    found = select(DataIdentifier.name).where(_preserved_files(scope, name)).limit(1)
    return session.execute(found).first() is not None


def bad_copies(dids: Collection[File], *, session: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Return the copies in `dids` that are declared bad and that Rucio does not replace yet.

    All files in datasets and containers are included. Each copy is a file name and the identifier of its storage
    element.
    """
    from rucio.db.sqla.constants import DIDType, ReplicaState
    from rucio.db.sqla.models import DataIdentifier, RSEFileAssociation
    from sqlalchemy import and_, select, tuple_

    if not dids:
        return []
    among = tuple_(DataIdentifier.scope, DataIdentifier.name).in_(dids)
    collections = session.execute(
        select(DataIdentifier.scope, DataIdentifier.name).where(among, DataIdentifier.did_type != DIDType.FILE)
    ).all()
    same = and_(RSEFileAssociation.scope == DataIdentifier.scope, RSEFileAssociation.name == DataIdentifier.name)
    bad = (
        select(RSEFileAssociation.name, RSEFileAssociation.rse_id)
        .join(DataIdentifier, same)
        .where(RSEFileAssociation.state == ReplicaState.BAD)
    )
    files = [and_(among, DataIdentifier.did_type == DIDType.FILE), *(_files_in(*each) for each in collections)]
    return [(name, str(rse_id)) for each in files for name, rse_id in session.execute(bad.where(each))]


def awaits_locks(scope: Any, name: str, *, session: Any) -> bool:  # noqa: ANN401
    """Return whether Rucio's judge still has to make locks for a name or one of its parents."""
    from rucio.db.sqla.constants import RuleState
    from rucio.db.sqla.models import ReplicationRule, UpdatedDID
    from sqlalchemy import or_, select

    above = _above(scope, name)
    attached = _any_row(UpdatedDID, above)
    new_rule = _any_row(ReplicationRule, above, ReplicationRule.state == RuleState.INJECT)
    return bool(session.execute(select(or_(attached, new_rule))).scalar())


def rules_above(scope: Any, name: str, *, session: Any) -> list[str]:  # noqa: ANN401
    """Return the identifiers of all rules on a dataset or container and on its parents."""
    return [rule for rule, _ in _rules_above(scope, name, session)]


def places_above(scope: Any, name: str, *, session: Any) -> set[str]:  # noqa: ANN401
    """Return the RSE expressions of all rules on a dataset or container and on its parents."""
    return {expression for _, expression in _rules_above(scope, name, session)}


def _rules_above(scope: Any, name: str, session: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    from rucio.db.sqla.models import ReplicationRule
    from sqlalchemy import and_, select

    above = _above(scope, name)
    rules = select(ReplicationRule.id, ReplicationRule.rse_expression).join(
        above, and_(ReplicationRule.scope == above.c.scope, ReplicationRule.name == above.c.name)
    )
    return [(str(rule), expression) for rule, expression in session.execute(rules)]


def is_endless(scope: Any, name: str, *, session: Any) -> bool:  # noqa: ANN401
    """Return whether a rule without lifetime is on the name itself."""
    from rucio.db.sqla.models import ReplicationRule
    from sqlalchemy import select

    rules = select(ReplicationRule.id).where(
        ReplicationRule.scope == scope, ReplicationRule.name == name, ReplicationRule.expires_at.is_(None)
    )
    return session.execute(rules.limit(1)).first() is not None


def ends(scope: Any, name: str, *, session: Any, alone: bool = False) -> bool:  # noqa: ANN401
    """Return whether a name, one of its parents, a rule on one of them, or a replica of it expires.

    With `alone`, parents do not count.
    """
    from rucio.db.sqla.models import DataIdentifier, ReplicationRule, RSEFileAssociation
    from sqlalchemy import and_, or_, select

    above = _start(scope, name, "alone") if alone else _above(scope, name)
    replica = and_(RSEFileAssociation.scope == scope, RSEFileAssociation.name == name)
    expiring = select(RSEFileAssociation.name).where(replica, RSEFileAssociation.tombstone.is_not(None)).exists()
    dids = _any_row(DataIdentifier, above, DataIdentifier.expired_at.is_not(None))
    rules = _any_row(ReplicationRule, above, ReplicationRule.expires_at.is_not(None))
    return bool(session.execute(select(or_(dids, rules, expiring))).scalar())


def _any_row(table: Any, above: Any, *conditions: Any) -> Any:  # noqa: ANN401
    """Return whether a table has a row for one of the names in `above` that meets the conditions, as a condition."""
    from sqlalchemy import select, tuple_

    among = select(above.c.scope, above.c.name)
    return select(table.name).where(tuple_(table.scope, table.name).in_(among), *conditions).exists()


def is_permanent(name: str) -> bool:
    """Return whether a name is that of a block of the class ``permanent``."""
    return re.search(_BLOCK.format("permanent"), name) is not None


def is_kept_for_a_while(name: str) -> bool:
    """Return whether a name is that of a block with a limited retention."""
    return re.search(_BLOCK.format(_KEPT_FOR_A_WHILE), name) is not None


def _above(scope: Any, name: str) -> Any:  # noqa: ANN401
    """Return the query for a name and all its parents, at any depth."""
    from rucio.db.sqla.models import DataIdentifierAssociation
    from sqlalchemy import and_, select

    above = _start(scope, name, "above")
    parents = select(DataIdentifierAssociation.scope, DataIdentifierAssociation.name).join(
        above,
        and_(
            DataIdentifierAssociation.child_scope == above.c.scope,
            DataIdentifierAssociation.child_name == above.c.name,
        ),
    )
    return above.union(parents)


def _start(scope: Any, name: str, label: str) -> Any:  # noqa: ANN401 (SQLAlchemy's types need its plugin)
    """Return the first term of a recursive query: one name."""
    from rucio.db.sqla.models import DataIdentifier
    from sqlalchemy import select

    first = select(DataIdentifier.scope, DataIdentifier.name).where(
        DataIdentifier.scope == scope, DataIdentifier.name == name
    )
    return first.cte(label, recursive=True)


def known_of(files: Collection[File], *, session: Any) -> list[File]:  # noqa: ANN401
    """Return those of `files` that are already registered in Rucio."""
    from rucio.db.sqla.models import DataIdentifier
    from sqlalchemy import select, tuple_

    if not files:
        return []
    among = tuple_(DataIdentifier.scope, DataIdentifier.name).in_(files)
    return [
        (scope, name) for scope, name in session.execute(select(DataIdentifier.scope, DataIdentifier.name).where(among))
    ]


def _preserved_files(scope: Any, name: str) -> Any:  # noqa: ANN401
    """Return the condition on a row of `dids`: a preserved file below the name, or the name itself."""
    from sqlalchemy import and_

    return and_(_files_in(scope, name), _is_preserved())


def _files_in(scope: Any, name: str) -> Any:  # noqa: ANN401
    """Return the condition on a row of `dids`: a file below the name, or the name itself."""
    from rucio.db.sqla.constants import DIDType
    from rucio.db.sqla.models import DataIdentifier, DataIdentifierAssociation
    from sqlalchemy import and_, select, tuple_

    below = _start(scope, name, "below")
    children = select(DataIdentifierAssociation.child_scope, DataIdentifierAssociation.child_name).join(
        below,
        and_(DataIdentifierAssociation.scope == below.c.scope, DataIdentifierAssociation.name == below.c.name),
    )
    below = below.union(children)
    return and_(
        tuple_(DataIdentifier.scope, DataIdentifier.name).in_(select(below.c.scope, below.c.name)),
        DataIdentifier.did_type == DIDType.FILE,
    )


def _is_preserved() -> Any:  # noqa: ANN401
    """Return the condition on a row of `dids`: the file is raw data or in a permanent block.

    Raw data with a limited retention are in a block whose name says so, in the same scope.
    """
    from rucio.db.sqla.models import AccountAttrAssociation, DataIdentifier, DataIdentifierAssociation, Scope
    from sqlalchemy import and_, or_, select

    of_ingest = (
        select(Scope.scope)
        .join(AccountAttrAssociation, AccountAttrAssociation.account == Scope.account)
        .where(AccountAttrAssociation.key == ROLE_ATTRIBUTE, AccountAttrAssociation.value == Role.INGEST.value)
    )

    def in_block(retention: str, *conditions: Any) -> Any:  # noqa: ANN401
        return (
            select(DataIdentifierAssociation.name)
            .where(
                DataIdentifierAssociation.child_scope == DataIdentifier.scope,
                DataIdentifierAssociation.child_name == DataIdentifier.name,
                DataIdentifierAssociation.name.regexp_match(_BLOCK.format(retention)),
                *conditions,
            )
            .exists()
        )

    for_a_while = in_block(_KEPT_FOR_A_WHILE, DataIdentifierAssociation.scope == DataIdentifier.scope)
    raw = or_(DataIdentifier.name.regexp_match(_RAW), DataIdentifier.scope.in_(of_ingest))
    return or_(in_block("permanent"), and_(raw, ~for_a_while))


def _is_held(without: Collection[str], *, elsewhere_than: Collection[str] = ()) -> Any:  # noqa: ANN401
    """Return the condition on a row of `dids`: a rule without lifetime holds a sound copy of it."""
    from rucio.db.sqla.constants import LockState, ReplicaState
    from rucio.db.sqla.models import DataIdentifier, ReplicaLock, ReplicationRule, RSEFileAssociation
    from sqlalchemy import and_, select
    from sqlalchemy.orm import aliased

    # when a DID expires, Rucio deletes its rules, too
    of_rule = aliased(DataIdentifier)
    did_ends = (
        select(of_rule.name)
        .where(
            of_rule.scope == ReplicationRule.scope,
            of_rule.name == ReplicationRule.name,
            of_rule.expired_at.is_not(None),
        )
        .exists()
    )
    held = (
        select(ReplicaLock.rule_id)
        .join(ReplicationRule, ReplicationRule.id == ReplicaLock.rule_id)
        .join(
            RSEFileAssociation,
            and_(
                RSEFileAssociation.scope == ReplicaLock.scope,
                RSEFileAssociation.name == ReplicaLock.name,
                RSEFileAssociation.rse_id == ReplicaLock.rse_id,
            ),
        )
        .where(
            ReplicaLock.scope == DataIdentifier.scope,
            ReplicaLock.name == DataIdentifier.name,
            ReplicaLock.state == LockState.OK,
            ReplicationRule.expires_at.is_(None),
            ~did_ends,
            RSEFileAssociation.state == ReplicaState.AVAILABLE,
            RSEFileAssociation.rse_id.not_in(_lost_rses()),
        )
    )
    if without:
        held = held.where(ReplicationRule.id.not_in(without))
    if elsewhere_than:
        held = held.where(RSEFileAssociation.rse_id.not_in(elsewhere_than))
    return held.exists()


def _lost_rses() -> Any:  # noqa: ANN401
    """Return the storage elements whose copies are lost."""
    from rucio.db.sqla.models import RSEAttrAssociation
    from sqlalchemy import select

    return select(RSEAttrAssociation.rse_id).where(RSEAttrAssociation.key == _LOST, RSEAttrAssociation.value != "")
