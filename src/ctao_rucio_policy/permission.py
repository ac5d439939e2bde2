"""Map Rucio's permission checks to rows of the permission table.

Rucio calls `has_permission` before each action. One action may map to several rows (a new dataset with content on a
storage element and with a rule): all must allow it. Actions without a row are left to Rucio's generic rules.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from ctao_rucio_policy.conditions import QUESTIONS, Caller, is_onsite
from ctao_rucio_policy.guards import CHECKS
from ctao_rucio_policy.holds import rules_above
from ctao_rucio_policy.raw import is_raw
from ctao_rucio_policy.request import body
from ctao_rucio_policy.roles import CENTRE_ATTRIBUTE, TABLE, role_of
from ctao_rucio_policy.schema import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rucio.common.types import InternalAccount
    from rucio.core.permission import PermissionResult
    from sqlalchemy.orm import Session

    #: A row of the table, and the details of the request.
    Asked = tuple[str, Mapping[str, Any]]

__all__ = ["ACTIONS", "has_permission"]

log = logging.getLogger(__name__)


def has_permission(
    issuer: InternalAccount, action: str, kwargs: Mapping[str, Any], *, session: Session
) -> PermissionResult | None:
    """Decide whether an account may perform an action.

    Parameters
    ----------
    issuer
        The account (``InternalAccount``).
    action, kwargs
        The action and its arguments, as passed by Rucio's gateway.

    Returns
    -------
    rucio.core.permission.PermissionResult or None
        The decision with a message for the caller, or None to leave it to Rucio's generic rules.
    """
    from rucio.core.permission import PermissionResult

    sort = ACTIONS.get(action)
    if sort is None:
        return None
    try:
        caller = _caller(issuer, session)
        for row, asked in sort(caller, {**kwargs, "action": action}):
            if refusal := _refusal(caller, row, asked):
                return PermissionResult(False, refusal)
    except TypeError:
        # Rucio takes a TypeError for an undecided action and falls back to its generic rules.
        log.exception("permission check of %s failed; request refused", action)
        return PermissionResult(False, "The permission check failed. This is a server error; tell its administrator.")
    except _RefusedError as error:
        return PermissionResult(False, str(error))
    return PermissionResult(True)


class _RefusedError(Exception):
    """A request that is refused for every role."""


def _caller(issuer: InternalAccount, session: Session) -> Caller:
    """Look up the role and the attributes of `issuer`."""
    from rucio.core.account import list_account_attributes

    found = {row["key"]: row["value"] for row in list_account_attributes(account=issuer, session=session)}
    role = role_of(found, is_root=issuer.external == "root")
    return Caller(issuer, role, str(found.get(CENTRE_ATTRIBUTE, "")), session)


def _refusal(caller: Caller, row: str, asked: Mapping[str, Any]) -> str:
    """Return the message with which the table refuses a request; empty if it is allowed."""
    cell, guard = TABLE[row].cells[caller.role], TABLE[row].guard
    if cell.refusal:
        keys = ", ".join(sorted(asked.get("keys", ())))
        return cell.refusal.replace("<RSE>", str(asked.get("rse", "this RSE"))).replace("<keys>", keys)
    reason = QUESTIONS[cell.condition](caller, asked) if cell.condition else ""
    return reason or (CHECKS[guard](caller, asked) if guard else "")


def _names(dids: Iterable[Mapping[str, Any]]) -> Asked:
    """Check the names of `dids`."""
    return "name", {"names": [(_external(did["scope"]), did["name"]) for did in dids]}


def _external(scope: Any) -> str:  # noqa: ANN401 (Rucio has no types)
    """Return the external form of a scope or an account: Rucio passes both forms."""
    return str(getattr(scope, "external", scope))


def _register(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    on_site = kwargs["rse_id"] is not None and is_onsite(kwargs["rse_id"], caller.session)
    yield ("register-on-site" if on_site else "register-off-site"), kwargs
    files = body().get("files") or ()
    yield _names(files)
    yield from _born(caller, files)


def _register_all(caller: Caller, targets: Iterable[Mapping[str, Any]]) -> Iterator[Asked]:
    """Check each storage element that `targets` name; each holds the files of one dataset."""
    from rucio.common.types import InternalScope

    for target in targets:
        if target.get("rse"):
            vo = caller.account.vo
            files = [(InternalScope(str(did["scope"]), vo=vo), did["name"]) for did in target.get("dids") or ()]
            yield from _register(caller, {"rse": target["rse"], "rse_id": target.get("rse_id"), "files": files})


def _new_did(caller: Caller, did: Mapping[str, Any]) -> Iterator[Asked]:
    """Check the name and content of a new collection, and the lifetime and rules given with it."""
    content = did.get("dids") or ()
    yield _names([did, *content])
    yield from _born(caller, [did, *content])
    yield from _attached(caller, [did])
    if did.get("lifetime") is not None:
        yield from _kept(caller, did, {"lifetime"})
    for rule in did.get("rules") or ():
        yield from _add_rule(caller, {**rule, "dids": [did, *(did.get("dids") or ())]})


def _taken(meta: Iterable[str]) -> set[str]:
    """Return the metadata keys that Rucio itself manages."""
    from rucio.db.sqla.models import DataIdentifier

    return set(meta) & {*DataIdentifier.__table__.columns.keys(), "lifetime"}


def _born(caller: Caller, dids: Iterable[Mapping[str, Any]]) -> Iterator[Asked]:
    """Check the metadata that new `dids` are created with."""
    for did in dids:
        if keys := _taken(did.get("meta") or ()):
            yield from _kept(caller, did, keys)


def _attached(caller: Caller, attachments: Iterable[Mapping[str, Any]]) -> Iterator[Asked]:
    """Check whether children may be attached to their parents."""
    attached: list[tuple[Any, list[tuple[Any, set[str]]]]] = []
    for parent in attachments:
        children = parent.get("dids") or ()
        files = _files(caller, children)
        keys = [_taken(child.get("meta") or ()) for child in children]
        (above,) = _files(caller, [parent])
        attached.append((above, list(zip(files, keys, strict=True))))
    yield "hold", {"attached": attached}
    for above, below in attached:
        yield "copy", {"parent": above, "content": [file for file, _ in below]}


def _add_did(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    from rucio.core.rse import get_rse_id

    yield "compose", kwargs
    yield from _new_did(caller, {**kwargs, "dids": body().get("dids")})
    if rse := body().get("rse"):
        rse_id = get_rse_id(rse=rse, vo=caller.account.vo, session=caller.session)
        yield from _register_all(caller, [{"rse": rse, "rse_id": rse_id, "dids": body().get("dids")}])


def _add_dids(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    for did in kwargs["dids"]:
        # Rucio validates names in all other calls, but not in those of this action.
        name = did.get("name")
        if not isinstance(name, str) or len(name) > NAME["maxLength"] or not re.match(NAME["pattern"], name):
            msg = f"{name!r} is not a canonical name. {NAME['description']}."
            raise _RefusedError(msg)
    yield from _register_all(caller, kwargs["dids"])
    yield "compose", kwargs
    for did in kwargs["dids"]:
        yield from _new_did(caller, did)


def _attach_dids(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    yield "compose", kwargs
    attachment = {**kwargs["attachment"], "scope": kwargs["scope"], "name": kwargs["name"]}
    yield _names([attachment, *attachment.get("dids", ())])
    yield from _born(caller, attachment.get("dids", ()))
    yield from _attached(caller, [attachment])
    yield from _register_all(caller, [kwargs["attachment"]])


def _attach_dids_to_dids(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    yield "compose", kwargs
    for attachment in kwargs["attachments"]:
        yield _names([attachment, *attachment.get("dids", ())])
        yield from _born(caller, attachment.get("dids", ()))
    yield from _attached(caller, kwargs["attachments"])
    yield from _register_all(caller, kwargs["attachments"])


def _detach_dids(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    raw = is_raw(kwargs["scope"], kwargs["name"], caller.session)
    without = rules_above(kwargs["scope"], kwargs["name"], session=caller.session)
    taken = _files(caller, kwargs["dids"]) if without else []
    yield ("detach-raw" if raw else "detach"), {**kwargs, "content": taken, "without": without}


def _set_status(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    yield ("reopen" if body().get("open") else "close"), kwargs


def _kept(caller: Caller, kwargs: Mapping[str, Any], keys: set[str]) -> Iterator[Asked]:
    (did,) = _files(caller, [kwargs])
    raw = is_raw(*did, caller.session)
    without = rules_above(*did, session=caller.session)
    # in Rucio's generic rules, this action is allowed to the owner of the scope
    asked = {
        "action": "set_metadata",
        "scope": did[0],
        "keys": keys,
        "content": [did],
        "without": without,
        "is_raw": raw,
    }
    yield ("kept-raw" if raw else "kept"), {**kwargs, **asked}


def _set_metadata(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    if taken := _taken(kwargs["meta"] if "meta" in kwargs else [kwargs["key"]]):
        yield from _kept(caller, kwargs, taken)
    yield "describe", kwargs
    if body().get("recursive"):
        yield "describe-content", kwargs


def _add_rule(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    of_another = _external(kwargs["account"]) != caller.account.external or kwargs.get("locked")
    asked = {**kwargs, "content": _files(caller, kwargs["dids"])}
    if of_another:
        yield "rule-of-another", asked
    yield "rule", asked
    yield "copy", {"content": asked["content"], "places": [kwargs["rse_expression"]]}


def _files(caller: Caller, dids: Iterable[Mapping[str, Any]]) -> list[tuple[Any, str]]:
    """Return DIDs as pairs of internal scope and name."""
    from rucio.common.types import InternalScope

    return [(InternalScope(_external(did["scope"]), vo=caller.account.vo), did["name"]) for did in dids]


def _on_rule(preserving: str, other: str) -> Callable[[Caller, Mapping[str, Any]], Iterator[Asked]]:
    """Return a function that maps requests to one of two rows, by whether the rule preserves raw data."""

    def sort(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
        from rucio.core.rule import get_rule

        rule = get_rule(kwargs["rule_id"], session=caller.session)
        preserves = rule["expires_at"] is None and is_raw(rule["scope"], rule["name"], caller.session)
        taken = [(rule["scope"], rule["name"])] if _takes(kwargs) else []
        asked = {**kwargs, "rule": rule, "content": taken, "without": [rule["id"]]}
        yield (preserving if preserves else other), asked
        if kwargs["action"] in _MAKES_LOCKS:
            asked_for = {**rule, **kwargs, **kwargs.get("override", {})}["rse_expression"]
            yield "copy", {"content": [(rule["scope"], rule["name"])], "places": [asked_for]}

    return sort


#: The actions that make new locks for the content of a rule: moving or reducing a rule creates a new one.
_MAKES_LOCKS = {"approve_rule", "move_rule", "reduce_rule"}


#: The options of a rule that do not change how long it holds its copies.
_HARMLESS = {"activity", "boost_rule", "cancel_requests", "comment", "priority", "source_replica_expression"}


def _takes(kwargs: Mapping[str, Any]) -> bool:
    """Return whether a request may end a rule or reduce its copies."""
    if kwargs["action"] == "approve_rule":
        return False
    if kwargs["action"] not in {"move_rule", "update_rule"}:
        return True
    options = {**kwargs.get("options", {}), **kwargs.get("override", {})}
    return any(not (key in _HARMLESS or (key == "lifetime" and value is None)) for key, value in options.items())


_CHANGE_RULE = _on_rule("change-preserving", "change-rule")
_END_RULE = _on_rule("end-preserving", "end-rule")


def _update_rule(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
    """Treat a lifetime in the past as the end of the rule: the rule expires at once, a deletion only after an hour."""
    options = kwargs["options"]
    lifetime = options.get("lifetime")
    ends = set(options) == {"lifetime"} and isinstance(lifetime, int | float) and lifetime <= 0
    yield from (_END_RULE if ends else _CHANGE_RULE)(caller, kwargs)


def _as(row: str) -> Callable[[Caller, Mapping[str, Any]], Iterator[Asked]]:
    """Return a function that maps every request to one row."""

    def sort(caller: Caller, kwargs: Mapping[str, Any]) -> Iterator[Asked]:
        yield row, kwargs

    return sort


_ADMINISTER = (
    *("add_account", "del_account", "update_account", "add_attribute", "del_attribute", "add_scope", "update_scope"),
    *("set_local_account_limit", "set_global_account_limit", "delete_local_account_limit"),
    *("delete_global_account_limit", "add_rse", "update_rse", "del_rse", "del_rse_attribute"),
    *("add_protocol", "update_protocol", "del_protocol"),
)

#: The functions that map each action of Rucio to rows.
ACTIONS: Mapping[str, Callable[[Caller, Mapping[str, Any]], Iterator[Asked]]] = {
    **{action: _as("administer") for action in _ADMINISTER},
    "add_bad_pfns": _as("declare-places"),
    "add_did": _add_did,
    "add_dids": _add_dids,
    "add_replicas": _register,
    "add_rse_attribute": _as("administer-storage"),
    "add_rule": _add_rule,
    "add_subscription": _as("subscribe"),
    "approve_rule": _on_rule("approve-rule", "approve-rule"),
    "attach_dids": _attach_dids,
    "attach_dids_to_dids": _attach_dids_to_dids,
    "create_did_sample": _as("sample"),
    "declare_bad_file_replicas": _as("declare-bad"),
    "declare_suspicious_file_replicas": _as("declare-suspicious"),
    "del_rule": _END_RULE,
    "delete_replicas": _as("delete-replicas"),
    "detach_dids": _detach_dids,
    "get_local_account_usage": _as("transfers"),
    "get_request_by_did": _as("transfers"),
    "get_request_history_by_did": _as("transfers"),
    "list_requests": _as("transfers"),
    "list_requests_history": _as("transfers"),
    "move_rule": _on_rule("move-preserving", "change-rule"),
    "quarantine_file_replicas": _as("delete-unknown"),
    "reduce_rule": _CHANGE_RULE,
    "set_metadata": _set_metadata,
    "set_metadata_bulk": _set_metadata,
    "set_status": _set_status,
    "set_tombstone": _as("delete-replicas"),
    "update_replicas_states": _as("replica-state"),
    "update_rule": _update_rule,
    "update_subscription": _as("subscribe"),
}
