"""The permission table: rows are requests, columns are roles.

`permission` maps each request of Rucio to rows; `conditions` implements the conditions of cells. Requests without a
row are decided by Rucio's generic rules, which allow them to administrators only. All accounts may read.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

__all__ = ["CENTRE_ATTRIBUTE", "CONDITIONS", "GUARDS", "ROLE_ATTRIBUTE", "TABLE", "Cell", "Role", "Row", "role_of"]

#: The account attributes for the role of an account and for the data centre of an operator.
ROLE_ATTRIBUTE = "bdms-role"
CENTRE_ATTRIBUTE = "bdms-centre"


class Role(StrEnum):
    """The role of an account."""

    #: the administrator of the archive; also ``root``, and accounts with Rucio's attribute ``admin``
    ADMIN = "archive-admin"
    #: the service that ingests raw data; owns the scopes of raw data
    INGEST = "ingest"
    #: the workload management, DIRAC: writes what its jobs produce
    WMS = "wms"
    #: an operator of the data centre that the account attribute ``bdms-centre`` names
    OPERATOR = "centre-operator"
    #: a person
    USER = "user"
    #: all other accounts, also those with an unknown role
    READER = "reader"


def role_of(attributes: Mapping[str, object], *, is_root: bool) -> Role:
    """Return the role of an account with these attributes."""
    said = attributes.get(ROLE_ATTRIBUTE)
    if is_root or attributes.get("admin"):
        return Role.ADMIN
    return next((role for role in Role if role.value == said), Role.READER)


#: The descriptions of the conditions; `conditions` has the functions of the same names.
CONDITIONS: Mapping[str, str] = {
    "owner": "the account owns the scope",
    "derived": "none of the files are raw data",
    "own_derived": "none of the files are raw data, and all are in scopes of the account",
    "endless": "the rule has no lifetime, or is on a block with a limited retention",
    "off_site": "no storage element of the rule is on site",
    "ends_off_site": "the rule has a lifetime, and no storage element of it is on site",
    "own": "the rule is the account's own, and only changes its lifetime, expression, activity or comment",
    "own_ending": "the rule is the account's own, keeps a lifetime, and only changes expression, activity or comment",
    "own_kept": "the rule is the account's own, and only loses its lifetime, changes its source, or is retried",
    "own_on_site": "the rule is the account's own and holds copies on site only",
    "released": "the rule is the account's own, holds copies on site only, and two centres hold all of it",
    "two_centres": "the rule only moves, from off site to a centre (`centre=PIC`), and two centres remain",
    "on_site": "the storage element is on site",
    "own_centre": "the storage elements belong to the operator's centre",
    "unlisted": "the account owns the scope, and a file of the block is in no manifest, although it should be",
}

#: The checks for every role, the administrator included; `guards` has the functions of the same names.
GUARDS: Mapping[str, str] = {
    "held": "a rule without lifetime holds a sound copy of every preserved file, and the lifetime is at least a day",
    "held_without": "another rule without lifetime holds a sound copy of every preserved file",
    "lasting": "preserved files are attached to an expiring parent only after a rule without lifetime holds them",
    "named": "every name belongs to its scope",
    "no_end": "no preserved file gets an expiry",
    "other_copy": "the catalogue knows another sound copy of every file, and Rucio has made all its locks",
    "replaced": "no copy there is declared bad and not yet replaced",
    "suspected": "there is another sound copy, and the account has not declared the same copy within a day",
    "unregistered": "no registered file has that path",
    "without_delay": "new replicas get no expiry",
}


@attrs.frozen
class Cell:
    """The permission of a role.

    Attributes
    ----------
    condition
        The name of the condition; empty if there is none.
    refusal
        The message of the refusal; empty if it is allowed, or if the condition gives the reason.
    """

    condition: str = ""
    refusal: str = ""

    def __str__(self) -> str:
        if self.refusal:
            return f"refused: {self.refusal}"
        return f"allowed if {CONDITIONS[self.condition]}" if self.condition else "allowed"


@attrs.frozen
class Row:
    """A kind of request, and the permission of each role.

    Attributes
    ----------
    what
        A description of the request.
    guard
        The name of a check for every role; empty if there is none.
    """

    what: str
    cells: Mapping[Role, Cell]
    guard: str = ""


_ASK = "ask the archive administrator."
_ALLOWED = Cell()
_READS_ONLY = Cell(
    refusal=f"An account without a role may only read; ask the archive administrator for a {ROLE_ATTRIBUTE}."
)


def _if(condition: str) -> Cell:
    return Cell(condition=condition)


def _no(sentence: str) -> Cell:
    return Cell(refusal=sentence)


def _row(what: str, ingest: Cell, wms: Cell, operator: Cell, user: Cell, *, guard: str = "") -> Row:
    """Return a row that allows the administrator and refuses accounts without a role."""
    cells = (_ALLOWED, ingest, wms, operator, user, _READS_ONLY)
    return Row(what, dict(zip(Role, cells, strict=True)), guard)


def _admin_only(what: str, sentence: str, *, guard: str = "") -> Row:
    return _row(what, *[_no(sentence)] * 4, guard=guard)


def _nobody(what: str, sentence: str) -> Row:
    return Row(what, dict.fromkeys(Role, _no(sentence)))


_NO_RIGHT = _no(
    "Registering files on <RSE> needs the right to add replicas there; archive the data with an ingest or a job."
)
_OWNER, _ENDS_OFF_SITE = _if("owner"), _if("ends_off_site")
_APPEND_ONLY = f"Raw data are append-only; to detach files, {_ASK}"
_PRESERVED = f"This rule preserves raw data; if it must end or change, {_ASK}"
_INGEST_RULES = _no(f"The ingest service may not change rules; {_ASK}")

TABLE: Mapping[str, Row] = {
    "register-on-site": _row("register files on site", _ALLOWED, *[_NO_RIGHT] * 3),
    "register-off-site": _row(
        "register files at a data centre",
        _no(
            "The ingest service registers files on site only, and <RSE> does not have the attribute onsite=True; "
            "copies elsewhere are made by replication rules."
        ),
        _if("derived"),
        _NO_RIGHT,
        _if("own_derived"),
    ),
    "name": _row("use a name", *[_ALLOWED] * 4, guard="named"),
    "hold": _row(
        "attach content to a dataset or container that expires, or has rules that expire",
        *[_ALLOWED] * 4,
        guard="lasting",
    ),
    "compose": _row("create datasets and containers, and attach content", *[_OWNER] * 4),
    "sample": _nobody(
        "have Rucio create a dataset from a sample of another",
        "The archive does not support samples; create a dataset of your own, and attach the files that you want.",
    ),
    "detach-raw": _admin_only("detach raw data from a dataset or container", _APPEND_ONLY, guard="held_without"),
    "detach": _row(
        "detach other data from a dataset or container",
        _no(f"The archive is append-only for the ingest service; {_ASK}"),
        *[_OWNER] * 3,
        guard="held_without",
    ),
    "close": _row("close a dataset", *[_OWNER] * 4),
    "reopen": _row("reopen a closed dataset", *[_if("unlisted")] * 4),
    "describe": _row("set metadata", *[_OWNER] * 4),
    "describe-content": _admin_only(
        "set metadata of all content of a dataset or container (recursive)",
        "Set metadata for each name, because a dataset may contain data of other accounts; leave out recursive.",
    ),
    "kept-raw": _admin_only(
        "change Rucio's own metadata of raw data (lifetime, checksum, account; DIRAC's removeDirectory)",
        f"Rucio's own metadata cannot be changed: <keys>; raw data have no lifetime. If it is necessary, {_ASK}",
        guard="no_end",
    ),
    "kept": _row(
        "change Rucio's own metadata of other data",
        _no(f"The ingest service may not change Rucio's own metadata: <keys>; {_ASK}"),
        *[_OWNER] * 3,
        guard="no_end",
    ),
    "rule": _row(
        "request copies (a rule)", _if("endless"), _if("off_site"), _ENDS_OFF_SITE, _ENDS_OFF_SITE, guard="held"
    ),
    "copy": _row(
        "get new copies at storage elements (any new rule, any content attached under a rule)",
        *[_ALLOWED] * 4,
        guard="replaced",
    ),
    "subscribe": _nobody(
        "have Rucio make rules automatically (a subscription)",
        "The archive makes its rules from its policy file; request copies with a rule.",
    ),
    "rule-of-another": _admin_only(
        "make a rule that belongs to another account, or is locked",
        f"A rule must belong to the account that makes it, and must not be locked; for others, {_ASK}",
    ),
    "end-preserving": _row(
        "end a rule on raw data that has no lifetime (also DIRAC's removeReplica)",
        _if("released"),
        _no(_PRESERVED),
        _no(_PRESERVED),
        _no(_PRESERVED),
        guard="held_without",
    ),
    "change-preserving": _row(
        "shorten, reduce or otherwise change a rule on raw data that has no lifetime",
        _if("own_kept"),
        *[_no(_PRESERVED)] * 3,
        guard="held_without",
    ),
    "move-preserving": _row(
        "move a rule on raw data that has no lifetime",
        _no(_PRESERVED),
        _no(_PRESERVED),
        _if("two_centres"),
        _no(_PRESERVED),
        guard="held_without",
    ),
    "end-rule": _row("end another rule", _if("own_on_site"), *[_if("own")] * 3, guard="held_without"),
    "change-rule": _row(
        "change, reduce or move another rule",
        _if("own_kept"),
        _if("own"),
        _if("own_ending"),
        _if("own_ending"),
        guard="held_without",
    ),
    "approve-rule": _row(
        "approve or deny a rule that awaits approval",
        _INGEST_RULES,
        _no(f"The workload management does not approve rules; {_ASK}"),
        _if("own_centre"),
        _no("Rules are approved by the operators of the data centre; ask them."),
    ),
    "declare-bad": _row(
        "declare copies bad",
        _if("on_site"),
        _no("The workload management may only declare copies suspicious; the centre checks whether they are bad."),
        _if("own_centre"),
        _no("Declare the copies suspicious; the centre checks whether they are bad."),
        guard="other_copy",
    ),
    "declare-places": _nobody(
        "declare PFNs bad, or copies temporarily unavailable",
        "Rucio would act on it later, when it may be the last copy; declare the copies bad: this is checked at once.",
    ),
    "declare-suspicious": _row("declare copies suspicious", *[_ALLOWED] * 4, guard="suspected"),
    "delete-replicas": _nobody(
        "delete replicas at once, or give them a tombstone",
        "Replicas cannot be deleted directly; end the rules that hold them, and Rucio's reaper frees the space.",
    ),
    "delete-unknown": _admin_only(
        "have Rucio delete unregistered files at a storage element (dark data)",
        f"This is for administrators; {_ASK}",
        guard="unregistered",
    ),
    "replica-state": _admin_only(
        "set the state of replicas",
        f"The state of replicas is set by Rucio's daemons; if it is wrong, {_ASK}",
        guard="other_copy",
    ),
    "transfers": Row("read the history of transfers, and the usage of an account", dict.fromkeys(Role, _ALLOWED)),
    "administer": _admin_only(
        "administer accounts and their attributes, scopes, limits, storage elements",
        f"This is for administrators; {_ASK}",
    ),
    "administer-storage": _admin_only(
        "set attributes of storage elements", f"This is for administrators; {_ASK}", guard="without_delay"
    ),
}
