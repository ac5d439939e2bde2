"""Who may do what, where Rucio's generic rules are too wide or too narrow.

Roles are values of the account attribute ``bdms-role``. Now there is one:

``ingest``
    owns the scopes of raw data. It may register replicas on storage elements with the attribute ``onsite``, declare
    them bad there, make rules for itself, and end those of its own rules that hold copies on site. It may not touch
    other storage elements, take files out of datasets, open a closed dataset again, or change what Rucio itself keeps
    of a file (size, checksum, lifetime).

For everyone, registering a replica asks for the right to add replicas there, by whatever call it is done, a closed
dataset stays closed, and names are canonical. What is not decided here is decided by Rucio's generic rules.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import attrs

from ctao_rucio_policy.request import body
from ctao_rucio_policy.schema import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rucio.common.types import InternalAccount
    from rucio.core.permission import PermissionResult
    from sqlalchemy.orm import Session

__all__ = ["INGEST", "ONSITE_ATTRIBUTE", "ROLE_ATTRIBUTE", "has_permission"]

log = logging.getLogger(__name__)

#: The account attribute that says what an account is for, and its value for the ingest service.
ROLE_ATTRIBUTE = "bdms-role"
INGEST = "ingest"

#: The attribute of storage elements where the telescopes' data lie first.
ONSITE_ATTRIBUTE = "onsite"


@attrs.frozen
class _Caller:
    """An account and the transaction in which it asks."""

    account: Any  # InternalAccount
    session: Any  # Session
    role: str
    is_admin: bool


def has_permission(
    issuer: InternalAccount, action: str, kwargs: Mapping[str, Any], *, session: Session
) -> PermissionResult | None:
    """Decide whether an account may do something.

    Parameters
    ----------
    issuer
        The account (``InternalAccount``).
    action, kwargs
        What it wants to do, in the words of Rucio's gateway.
    session
        The database session of the request.

    Returns
    -------
    rucio.core.permission.PermissionResult or None
        The decision with a sentence for the caller, or None to leave it to Rucio's generic rules.
    """
    check = _CHECKS.get(action)
    if check is None:
        return None
    try:
        return check(_caller(issuer, session), kwargs)
    except TypeError:
        # Rucio would take a TypeError for "not decided here" and fall back to its generic rules.
        log.exception("the check of %s failed; refused", action)
        return _refuse("The policy could not decide; this is an error of the server, tell its administrator.")


def _caller(issuer: InternalAccount, session: Session) -> _Caller:
    """Look up what `issuer` is."""
    from rucio.core.account import list_account_attributes

    found = {row["key"]: row["value"] for row in list_account_attributes(account=issuer, session=session)}
    is_admin = issuer.external == "root" or bool(found.get("admin"))
    return _Caller(issuer, session, str(found.get(ROLE_ATTRIBUTE, "")), is_admin)


def _allow() -> PermissionResult:
    from rucio.core.permission import PermissionResult

    return PermissionResult(True)


def _refuse(sentence: str) -> PermissionResult:
    from rucio.core.permission import PermissionResult

    return PermissionResult(False, sentence)


def _is_onsite(rse_id: str, session: Session) -> bool:
    """Whether a storage element is marked as one where the telescopes' data lie first."""
    from rucio.core.rse import list_rse_attributes

    return list_rse_attributes(rse_id=rse_id, session=session).get(ONSITE_ATTRIBUTE) is True


def _add_replicas(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    if caller.is_admin or caller.role != INGEST:
        return None
    if kwargs["rse_id"] is not None and _is_onsite(kwargs["rse_id"], caller.session):
        return _allow()
    return _refuse(
        f"The ingest service registers files on site only, and {kwargs['rse']} does not have the attribute "
        f"{ONSITE_ATTRIBUTE}=True; copies elsewhere are made by replication rules."
    )


def _registers(caller: _Caller, targets: Iterable[Mapping[str, Any]]) -> PermissionResult | None:
    """Refuse if the caller may not add replicas on a storage element that `targets` name, else leave it open."""
    from rucio.core.permission import generic

    for rse, rse_id in {target["rse"]: target.get("rse_id") for target in targets if target.get("rse")}.items():
        asked = {"rse": rse, "rse_id": rse_id}
        result = _add_replicas(caller, asked)
        if result is None and not generic.has_permission(caller.account, "add_replicas", asked, session=caller.session):
            result = _refuse(f"Registering files on {rse} needs the right to add replicas there.")
        if result is not None and not result.allowed:
            return result
    return None


def _add_did(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    from rucio.core.rse import get_rse_id

    rse = body().get("rse")
    if caller.is_admin or rse is None:
        return None
    return _registers(
        caller, [{"rse": rse, "rse_id": get_rse_id(rse=rse, vo=caller.account.vo, session=caller.session)}]
    )


def _add_dids(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    for did in kwargs["dids"]:
        # The calls behind this action are the only ones that do not validate names.
        name = did.get("name")
        if not isinstance(name, str) or len(name) > NAME["maxLength"] or not re.match(NAME["pattern"], name):
            return _refuse(f"{name!r} is not a canonical name. {NAME['description']}.")
    return None if caller.is_admin else _registers(caller, kwargs["dids"])


def _attach_dids(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    return None if caller.is_admin else _registers(caller, [kwargs["attachment"]])


def _attach_dids_to_dids(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    return None if caller.is_admin else _registers(caller, kwargs["attachments"])


def _detach_dids(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    if caller.is_admin or caller.role != INGEST:
        return None
    return _refuse("The archive is append-only for the ingest service; ask an administrator to take files out.")


def _set_status(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    if caller.is_admin or not body().get("open"):
        return None
    return _refuse("A closed dataset stays closed, because its manifest has been written; start another one.")


def _set_metadata(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    from rucio.db.sqla.models import DataIdentifier

    if caller.is_admin or caller.role != INGEST:
        return None
    keys = set(kwargs["meta"]) if "meta" in kwargs else {kwargs["key"]}
    kept_by_rucio = {*DataIdentifier.__table__.columns.keys(), "lifetime"}
    if taken := sorted(keys & kept_by_rucio):
        return _refuse(f"The ingest service may not change what Rucio itself keeps: {', '.join(taken)}.")
    return None


def _del_rule(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    from rucio.core.rse_expression_parser import parse_expression
    from rucio.core.rule import get_rule

    if caller.is_admin or caller.role != INGEST:
        return None
    rule = get_rule(kwargs["rule_id"], session=caller.session)
    rses = parse_expression(rule["rse_expression"], filter_={"vo": caller.account.vo}, session=caller.session)
    if rule["account"] == caller.account and all(_is_onsite(rse["id"], caller.session) for rse in rses):
        return _allow()
    return _refuse("The ingest service may end only its own rules on site; ask an administrator.")


def _declare_bad(caller: _Caller, kwargs: Mapping[str, Any]) -> PermissionResult | None:
    if caller.is_admin or caller.role != INGEST:
        return None
    if _is_onsite(kwargs["rse_id"], caller.session):
        return _allow()
    return _refuse("The ingest service may declare copies bad on site only.")


_CHECKS: dict[str, Callable[[_Caller, Mapping[str, Any]], PermissionResult | None]] = {
    "add_did": _add_did,
    "add_dids": _add_dids,
    "add_replicas": _add_replicas,
    "attach_dids": _attach_dids,
    "attach_dids_to_dids": _attach_dids_to_dids,
    "declare_bad_file_replicas": _declare_bad,
    "del_rule": _del_rule,
    "detach_dids": _detach_dids,
    "set_metadata": _set_metadata,
    "set_metadata_bulk": _set_metadata,
    "set_status": _set_status,
}
