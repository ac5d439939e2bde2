"""Guards of the permission table: checks for every role, which protect the last sound copy of a file.

Each function implements one guard of `roles.GUARDS` and returns the reason for a refusal, or an empty string. The
details of a request come from `permission` or from the request body.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.naming import BlockName, is_block, scope_of
from ctao_rucio_policy.holds import (
    at_risk,
    awaits_locks,
    bad_copies,
    ends,
    has_preserved,
    is_endless,
    is_kept_for_a_while,
    is_permanent,
    known_of,
    only_copies,
    places_above,
)
from ctao_rucio_policy.raw import is_raw
from ctao_rucio_policy.request import body

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ctao_rucio_policy.conditions import Caller
    from ctao_rucio_policy.holds import File

__all__ = ["CHECKS", "LEAST_LIFETIME_S", "wrong_scope"]

#: The shortest lifetime of a rule on preserved files, in seconds: time to notice a mistake and to make other copies.
LEAST_LIFETIME_S = 86_400
#: The limit of suspicious copies that an account may declare per day; more than that indicates a faulty machine.
_SUSPICIONS_A_DAY = 1000
_DAY = dt.timedelta(days=1)
#: The metadata keys of Rucio that can make a DID expire or lose its replicas.
_ENDING = {"lifetime", "expired_at", "eol_at", "purge_replicas", "availability", "did_type", "is_archive"}


def wrong_scope(scope: str, name: str) -> str:
    """Return why a name does not belong to a scope; empty if it does.

    The path of a file follows from its name alone: the same name under another scope would be the same file on disk.

    Examples
    --------
    >>> wrong_scope("user.ada", "/ctao/user/a/ada/notes.txt")
    ''
    >>> wrong_scope("user.ada", "/ctao/user.ada/blocks/EXTERNAL/2026/11/21/user-20261121T200000-0a1b2c3d-PIC")
    ''
    """
    try:
        # The blocks of a user's scope are next to the user's area, so `scope_of` does not apply.
        belongs = BlockName.parse(name).scope if is_block(name) else scope_of(name)
    except InvalidNameError as error:
        return str(error)
    if scope == belongs:
        return ""
    return f"{name} belongs to scope {belongs}, not to {scope}: in both it would be the same file. Use {belongs}."


def _named(caller: Caller, asked: Mapping[str, Any]) -> str:
    return next((reason for scope, name in asked["names"] if (reason := wrong_scope(str(scope), name))), "")


def _held(caller: Caller, asked: Mapping[str, Any]) -> str:
    lifetime = asked.get("lifetime")
    if lifetime is None:
        return ""
    files = [file for file in asked["content"] if has_preserved(*file, session=caller.session)]
    if not files:
        return ""
    if not isinstance(lifetime, int | float) or lifetime < LEAST_LIFETIME_S:
        return f"{files[0][1]} is preserved; a rule on it needs a lifetime of at least {LEAST_LIFETIME_S} s, or none."
    if name := at_risk(files, session=caller.session):
        return (
            f"No rule without lifetime holds {name} yet, and its copy would be deleted with this rule; try again in "
            "some minutes, or make the rule without a lifetime."
        )
    return ""


def _held_without(caller: Caller, asked: Mapping[str, Any]) -> str:
    if name := at_risk(asked["content"], without=asked["without"], session=caller.session, lock=True):
        return (
            f"Nothing else would hold {name}: no other rule without lifetime has a sound copy of it. Wait until "
            "another centre has its copy (see bdms track), then try again."
        )
    return ""


def _lasting(caller: Caller, asked: Mapping[str, Any]) -> str:
    session = caller.session
    # The rule of the open block locks these files in the same evaluation as any other rule, or earlier. So a rule of
    # another account on the block or its directory must not stop the ingest.
    locked_soon = {
        file
        for parent, children in asked["attached"]
        if is_permanent(parent[1]) and is_endless(*parent, session=session)
        for file, _ in children
    }
    for parent, children in asked["attached"]:
        for file, keys in children:
            if keys and is_permanent(parent[1]):
                return f"{file[1]} cannot have an end ({', '.join(sorted(keys))}) in {parent[1]}, which is permanent."
        does_end = ends(*parent, session=session)
        files = [file for file, _ in children if does_end and file not in locked_soon]
        # Only files that exist already can expire; the hundreds of new files of an ingest need no check.
        known = known_of([file for file, _ in children], session=session) if is_permanent(parent[1]) else []
        files += [file for file in known if ends(*file, session=session, alone=file in locked_soon)]
        for file in files:
            if name := _to_be_held(parent, file, session):
                return (
                    f"{parent[1]}, {name} or a rule on one of them expires, and no rule without lifetime holds {name} "
                    "yet; try again in some minutes, or leave out the lifetime."
                )
    return ""


def _to_be_held(parent: File, file: File, session: Any) -> str:  # noqa: ANN401 (Rucio has no types)
    """Return the name of a file that `parent` makes preserved and that no rule holds yet; empty if none."""
    if name := at_risk([file], session=session, preserved=is_permanent(parent[1])):
        return name
    for_a_while = is_kept_for_a_while(parent[1]) and parent[0] == file[0]
    is_new = not known_of([file], session=session)
    return file[1] if is_new and is_raw(*file, session) and not for_a_while else ""


def _no_end(caller: Caller, asked: Mapping[str, Any]) -> str:
    keys = sorted(_ENDING.intersection(asked["keys"]))
    content, without = asked["content"], asked["without"]
    if keys and (asked["is_raw"] or at_risk(content, without=without, session=caller.session, lock=True)):
        return f"{', '.join(keys)} would make preserved data expire; preserved data have no lifetime."
    return ""


def _replaced(caller: Caller, asked: Mapping[str, Any]) -> str:
    """Refuse new locks on a bad copy until Rucio has requested its replacement.

    With a new lock, Rucio takes the bad copy for one in transfer, requests no transfer, and forgets that it is bad
    (``core.rule_grouping``, 41.5). Its necromancer must request the transfer first.
    """
    from rucio.core.rse import get_rse_name
    from rucio.core.rse_expression_parser import parse_expression

    bad = bad_copies(asked["content"], session=caller.session)
    if not bad:
        return ""
    places = asked["places"] if "places" in asked else places_above(*asked["parent"], session=caller.session)
    meant = {
        rse["id"]
        for place in places
        for rse in parse_expression(place, filter_={"vo": caller.account.vo}, session=caller.session)
    }
    for name, rse_id in bad:
        if rse_id in meant:
            rse = get_rse_name(rse_id=rse_id, session=caller.session)
            return f"The copy of {name} at {rse} was declared bad, and Rucio replaces it; try again in some minutes."
    return ""


def _other_copy(caller: Caller, asked: Mapping[str, Any]) -> str:
    copies = _declared(caller, asked["action"])
    if copies is None:
        return "The request does not identify the copies in a way that can be checked."
    if name := only_copies(copies, session=caller.session):
        return (
            f"The copy of {name} is the last sound one that the catalogue knows; Rucio would mark the file as lost. "
            "Wait for another copy (see bdms track), or restore the file from a good source."
        )
    for scope, name in copies:  # otherwise the judge would lock a copy that is already bad; see `_replaced`
        if awaits_locks(scope, name, session=caller.session):
            return f"Rucio has not yet made all locks for {name}; try again in some minutes."
    return ""


def _suspected(caller: Caller, asked: Mapping[str, Any]) -> str:
    from rucio.db.sqla.constants import BadFilesStatus
    from rucio.db.sqla.models import BadReplica
    from sqlalchemy import func, select, tuple_

    copies = _declared(caller, asked["action"])
    if copies is None:
        return "The request does not identify the copies in a way that can be checked."
    if name := only_copies(copies, session=caller.session):
        return (
            f"The copy of {name} is the last sound one that the catalogue knows, and must not be replaced "
            "automatically; tell the operators of its centre."
        )
    mine = select(func.count()).where(
        BadReplica.account == caller.account,
        BadReplica.state == BadFilesStatus.SUSPICIOUS,
        BadReplica.created_at > dt.datetime.now(dt.UTC).replace(tzinfo=None) - _DAY,
    )
    told = [(*file, rse_id) for file, rse_ids in copies.items() for rse_id in rse_ids]
    same = mine.where(tuple_(BadReplica.scope, BadReplica.name, BadReplica.rse_id).in_(told))
    if told and caller.session.execute(same).scalar():
        return (
            "This account has declared that copy suspicious within the last day; one declaration per account is enough."
        )
    if caller.session.execute(mine).scalar() + len(told) > _SUSPICIONS_A_DAY:
        return (
            f"This account has declared {_SUSPICIONS_A_DAY} copies suspicious within the last day; your machine is "
            "probably at fault. Try another one, and tell the operators."
        )
    return ""


def _unregistered(caller: Caller, asked: Mapping[str, Any]) -> str:
    from rucio.db.sqla.models import RSEFileAssociation
    from sqlalchemy import select

    paths = [str(each.get("path", "")) for each in body().get("replicas") or ()]
    if not paths:
        return "The request does not name the paths to delete."
    for path in paths:
        parts = path.split("/")
        # Rucio gives the path with or without the prefix of the storage element, so any suffix of it can be a name.
        names = ["/" + "/".join(parts[start:]) for start in range(len(parts))]
        known = select(RSEFileAssociation.name).where(RSEFileAssociation.name.in_(names)).limit(1)
        if name := caller.session.execute(known).scalar():
            return f"{path} is the path of {name}, which is registered in the archive; it must not be deleted."
    return ""


def _without_delay(caller: Caller, asked: Mapping[str, Any]) -> str:
    if asked.get("key") == "tombstone_delay":
        return "With tombstone_delay, new replicas expire before a rule holds them; leave the attribute out."
    return ""


def _declared(caller: Caller, action: str) -> dict[File, Collection[str]] | None:
    """Return the files of a request, each with its storage elements; None if the request does not name them.

    Only the keys that Rucio reads for this action are read: other keys could hide which copies are meant.
    """
    request = body()
    rows: list[Any]
    if action == "update_replicas_states":
        rows = [{**file, "rse": request["rse"]} for file in request["files"] if file.get("state") != "A"]
        if not rows:
            return {}
    elif action == "declare_suspicious_file_replicas":
        rows = request.get("pfns") or []
    else:
        rows = request.get("replicas") or request.get("pfns") or []
    if not rows or not (all(isinstance(row, str) for row in rows) or all(isinstance(row, dict) for row in rows)):
        return None
    copies: dict[File, set[str]] = {}
    for file, rse_id in _of_places(caller, rows) if isinstance(rows[0], str) else _of_rows(caller, rows):
        copies.setdefault(file, set()).add(rse_id)
    return dict(copies)


def _of_rows(caller: Caller, rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[File, str]]:
    """Return the copies given by scope, name and storage element."""
    from rucio.common.types import InternalScope
    from rucio.core.rse import get_rse_id

    rse_id = functools.cache(lambda rse: get_rse_id(rse=rse, vo=caller.account.vo, session=caller.session))
    for row in rows:
        scope = InternalScope(str(row["scope"]), vo=caller.account.vo)
        yield (scope, row["name"]), str(row.get("rse_id") or rse_id(row["rse"]))


def _of_places(caller: Caller, pfns: list[str]) -> Iterable[tuple[File, str]]:
    """Return the copies given by PFN, resolved by Rucio itself."""
    from rucio.common.types import InternalScope
    from rucio.core.replica import get_pfn_to_rse
    from rucio.rse import rsemanager

    vo = caller.account.vo
    scheme, by_rse, _unknown = get_pfn_to_rse(pfns, vo=vo, session=caller.session)
    for rse_id, places in by_rse.items():
        storage = rsemanager.get_rse_info(rse_id=rse_id, session=caller.session)
        protocol = rsemanager.create_protocol(storage, "read", scheme=scheme)
        for place in protocol.parse_pfns(pfns=places).values():
            name, scope = rsemanager.get_scope_protocol(vo=vo)(place)
            yield (InternalScope(scope, vo=vo), name), str(rse_id)


CHECKS: dict[str, Callable[[Caller, Mapping[str, Any]], str]] = {
    "held": _held,
    "held_without": _held_without,
    "lasting": _lasting,
    "named": _named,
    "no_end": _no_end,
    "other_copy": _other_copy,
    "replaced": _replaced,
    "suspected": _suspected,
    "unregistered": _unregistered,
    "without_delay": _without_delay,
}
