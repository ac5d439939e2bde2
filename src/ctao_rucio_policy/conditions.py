"""Conditions of the permission table: each function returns the reason for a refusal, or an empty string."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import RetentionClass
from ctao_bdms.naming import BlockName, is_block, scope_of
from ctao_rucio_policy.holds import lacks_manifest
from ctao_rucio_policy.raw import centres_of, enters_on_site, preserving_centres
from ctao_rucio_policy.request import body
from ctao_rucio_policy.roles import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ONSITE_ATTRIBUTE", "QUESTIONS", "Caller", "is_onsite"]

#: The RSE attribute of the on-site storage elements, where raw data are first written.
ONSITE_ATTRIBUTE = "onsite"

#: The RSE expressions of rules that preserve blocks; `ctao_bdms.replication` writes and recognises exactly these.
_OF_CENTRE = re.compile(r"centre=[A-Za-z0-9_-]+(&tape)?")

_OWN_OPTIONS = frozenset({"activity", "comment", "lifetime", "source_replica_expression"})


@attrs.frozen
class Caller:
    """An account, its role, and the database session of its request."""

    account: Any  # InternalAccount
    role: Role
    centre: str
    session: Any  # Session


def is_onsite(rse_id: str, session: Any) -> bool:  # noqa: ANN401 (Rucio has no types)
    """Return whether a storage element has the on-site attribute."""
    from rucio.core.rse import list_rse_attributes

    return list_rse_attributes(rse_id=rse_id, session=session).get(ONSITE_ATTRIBUTE) is True


def _owner(caller: Caller, asked: Mapping[str, Any]) -> str:
    """Apply Rucio's generic rules, which allow the owner of the scope, and know what else the action needs."""
    from rucio.core.permission import generic

    if generic.has_permission(caller.account, asked["action"], asked, session=caller.session):
        return ""
    return "The scope belongs to another account; use one of your own."


def _unlisted(caller: Caller, asked: Mapping[str, Any]) -> str:
    if reason := _owner(caller, asked):
        return reason
    name = asked["name"]
    is_listed = is_block(name) and BlockName.parse(name).retention is not RetentionClass.USER
    if is_listed and lacks_manifest(name, asked["scope"], session=caller.session):
        return ""
    return "A closed dataset stays closed, because its manifest has been written; create another one."


def _derived(caller: Caller, asked: Mapping[str, Any]) -> str:
    files = asked["files"] if "files" in asked else _files(caller)
    if not files:
        return "The request does not name the files to register."
    for scope, name in files:
        if enters_on_site(scope, name, caller.session):
            return f"{name} is raw data; its copies are made by replication rules."
    return ""


def _own_derived(caller: Caller, asked: Mapping[str, Any]) -> str:
    from rucio.core.scope import is_scope_owner

    if reason := _derived(caller, asked):
        return reason
    for scope, name in asked["files"] if "files" in asked else _files(caller):
        if not is_scope_owner(scope=scope, account=caller.account, session=caller.session):
            return f"{name} is in a scope of another account; put your files into your own area."
    return ""


def _files(caller: Caller) -> list[tuple[Any, str]]:
    """Return the files that the request registers, from the body of ``add_replicas`` or of DIRAC's ``add_files``."""
    from rucio.common.types import InternalScope

    request, vo = body(), caller.account.vo
    files = [(InternalScope(file["scope"], vo=vo), file["name"]) for file in request.get("files", ())]
    for file in request.get("lfns", ()):
        try:
            files.append((InternalScope(scope_of(file["lfn"]), vo=vo), file["lfn"]))
        except InvalidNameError:
            return []
    return files


def _lifetime(caller: Caller, asked: Mapping[str, Any]) -> str:
    lifetime = asked.get("lifetime")
    if isinstance(lifetime, int | float) and lifetime > 0:
        return ""
    return "Rules of users and operators need a lifetime in seconds, for instance 2592000 for 30 days."


def _off_site(caller: Caller, asked: Mapping[str, Any]) -> str:
    from rucio.core.rse_expression_parser import parse_expression

    rses = parse_expression(asked["rse_expression"], filter_={"vo": caller.account.vo}, session=caller.session)
    if not any(is_onsite(rse["id"], caller.session) for rse in rses):
        return ""
    return "Storage on site is reserved for ingested data; make the rule for data centres, for instance offsite=True."


def _ends_off_site(caller: Caller, asked: Mapping[str, Any]) -> str:
    return _lifetime(caller, asked) or _off_site(caller, asked)


def _endless(caller: Caller, asked: Mapping[str, Any]) -> str:
    if asked.get("lifetime") is None:
        return ""
    for _scope, name in asked["content"]:
        if not (is_block(name) and BlockName.parse(name).retention is not RetentionClass.PERMANENT):
            return f"{name} is preserved by rules without lifetime; leave out the lifetime."
    return ""


def _own(caller: Caller, asked: Mapping[str, Any]) -> str:
    if asked["rule"]["account"] != caller.account:
        return f"The rule belongs to {asked['rule']['account']}; ask its owner or the archive administrator."
    changes = {*asked.get("options", ()), *asked.get("override", ())}
    if other := sorted(changes - _OWN_OPTIONS):
        return f"The fields {', '.join(other)} of a rule can be changed by the archive administrator only."
    return ""


def _own_ending(caller: Caller, asked: Mapping[str, Any]) -> str:
    if not _own(caller, asked):
        for changes in (asked.get("options", {}), asked.get("override", {})):
            if "lifetime" in changes and changes["lifetime"] is None:
                return _lifetime(caller, changes)
    return _own(caller, asked)


def _own_kept(caller: Caller, asked: Mapping[str, Any]) -> str:
    options = {**asked.get("options", {}), **asked.get("override", {})}
    harmless = options.keys() <= {"boost_rule", "source_replica_expression"} | (
        {"lifetime"} if options.get("lifetime", 0) is None else set()
    )
    if asked["action"] == "update_rule" and options and harmless:
        return _own(caller, {"rule": asked["rule"]})
    return "The ingest service may only remove the lifetime of its own rules, change their source or retry them; " + (
        "for anything else, ask the archive administrator."
    )


def _own_on_site(caller: Caller, asked: Mapping[str, Any]) -> str:
    from rucio.core.rse_expression_parser import parse_expression

    rule = asked["rule"]
    rses = parse_expression(rule["rse_expression"], filter_={"vo": caller.account.vo}, session=caller.session)
    if rule["account"] == caller.account and all(is_onsite(rse["id"], caller.session) for rse in rses):
        return ""
    return "The ingest service may end only its own rules on site; ask the archive administrator."


def _others(caller: Caller, rule: Mapping[str, Any]) -> set[str]:
    """Return the centres where the other rules on the same name preserve its data."""
    from rucio.core.did import list_files
    from rucio.core.rule import list_rules

    same = {"scope": rule["scope"], "name": rule["name"]}
    files = {(file["scope"], file["name"]) for file in list_files(**same, session=caller.session)}
    rules = [other for other in list_rules(same, session=caller.session) if other["id"] != rule["id"]]
    return preserving_centres(rules, len(files), caller.account.vo, caller.session)


def _released(caller: Caller, asked: Mapping[str, Any]) -> str:
    if reason := _own_on_site(caller, asked):
        return reason
    if len(held := _others(caller, asked["rule"])) >= 2:
        return ""
    return (
        f"Rules without lifetime hold all of {asked['rule']['name']} at {', '.join(sorted(held)) or 'no centre'} for "
        "certain; the copy on site can be deleted when rules without lifetime are fulfilled at two centres."
    )


def _two_centres(caller: Caller, asked: Mapping[str, Any]) -> str:
    if asked["override"]:
        return "Moving a rule that preserves raw data must not change it otherwise; leave out the override."
    if "" in centres_of(asked["rule"]["rse_expression"], caller.account.vo, caller.session):
        return (
            "A rule that holds the copy on site cannot be moved: the ingest service ends it when two centres are "
            "proven to have the data (bdms release)."
        )
    if not _OF_CENTRE.fullmatch(asked["rse_expression"]):
        return (
            "A rule that preserves raw data must name a centre, because the ingest service recognises it by its "
            "expression. Give the centre, for example centre=PIC or centre=PIC&tape."
        )
    target = centres_of(asked["rse_expression"], caller.account.vo, caller.session)
    remaining = _others(caller, asked["rule"]) | (target if len(target) == 1 else set())
    if len(remaining - {""}) >= 2:
        return ""
    return (
        f"After the move fewer than two centres would preserve {asked['rule']['name']} for certain; choose a "
        "centre that does not hold it yet."
    )


def _on_site(caller: Caller, asked: Mapping[str, Any]) -> str:
    if is_onsite(asked["rse_id"], caller.session):
        return ""
    return "The ingest service may declare copies bad on site only; tell the operators of the centre."


def _own_centre(caller: Caller, asked: Mapping[str, Any]) -> str:
    from rucio.core.rse import list_rse_attributes

    if "rule" in asked:
        centres = centres_of(asked["rule"]["rse_expression"], caller.account.vo, caller.session)
    else:
        centres = {str(list_rse_attributes(rse_id=asked["rse_id"], session=caller.session).get("centre", ""))}
    if caller.centre and centres == {caller.centre}:
        return ""
    return f"This account may do so at {caller.centre or 'no centre'} only; ask the operators of the other centre."


QUESTIONS: dict[str, Callable[[Caller, Mapping[str, Any]], str]] = {
    "derived": _derived,
    "endless": _endless,
    "ends_off_site": _ends_off_site,
    "off_site": _off_site,
    "on_site": _on_site,
    "own": _own,
    "own_centre": _own_centre,
    "own_derived": _own_derived,
    "own_ending": _own_ending,
    "own_kept": _own_kept,
    "own_on_site": _own_on_site,
    "owner": _owner,
    "released": _released,
    "two_centres": _two_centres,
    "unlisted": _unlisted,
}
