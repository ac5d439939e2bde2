"""Who may do what, as a table: rows are what is asked, columns are roles.

The table is all there is to know: `permission` sorts each request of Rucio into rows, and `conditions` answers the
questions that some cells ask. What is in no row is decided by Rucio's generic rules, which leave it to administrators.
Reading is open to every account that Rucio lets in.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

__all__ = ["CENTRE_ATTRIBUTE", "CONDITIONS", "GUARDS", "ROLE_ATTRIBUTE", "TABLE", "Cell", "Role", "Row", "role_of"]

#: The account attribute that says what an account is for, and the one that names the data centre of an operator.
ROLE_ATTRIBUTE = "bdms-role"
CENTRE_ATTRIBUTE = "bdms-centre"


class Role(StrEnum):
    """What an account is for."""

    #: the administrator of the archive; also ``root``, and accounts with Rucio's attribute ``admin``
    ADMIN = "archive-admin"
    #: the service that takes the telescopes' data in; owns the scopes of raw data
    INGEST = "ingest"
    #: the workload management, DIRAC: writes what its jobs produce
    WMS = "wms"
    #: an operator of the data centre that the account attribute ``bdms-centre`` names
    OPERATOR = "centre-operator"
    #: a person
    USER = "user"
    #: everybody else, also who has a role that is not in this list
    READER = "reader"


def role_of(attributes: Mapping[str, object], *, is_root: bool) -> Role:
    """Return the role of an account with these attributes."""
    said = attributes.get(ROLE_ATTRIBUTE)
    if is_root or attributes.get("admin"):
        return Role.ADMIN
    return next((role for role in Role if role.value == said), Role.READER)


#: What cells ask, in words; `conditions` holds the functions of the same names.
CONDITIONS: Mapping[str, str] = {
    "owner": "the account owns the scope",
    "derived": "none of the files are raw data",
    "own_derived": "none of the files are raw data, and all are in scopes of the account",
    "endless": "the rule has no lifetime, or is on a block that is kept for a while only",
    "off_site": "no storage element of the rule is on site",
    "ends_off_site": "the rule has a lifetime, and no storage element of it is on site",
    "own": "the rule is the account's own, and what changes is its lifetime, place, activity or comment",
    "own_ending": "the rule is the account's own, what changes is its place, activity or comment, and it still ends",
    "own_kept": "the rule is the account's own, and is only told not to end, to read from elsewhere, or to try again",
    "own_on_site": "the rule is the account's own and holds copies on site only",
    "released": "the rule is the account's own, holds copies on site only, and two centres hold all of it",
    "two_centres": "it goes from off site to a centre (`centre=PIC`), two centres remain, and nothing else changes",
    "on_site": "the storage element is on site",
    "own_centre": "the storage elements belong to the operator's centre",
}

#: What is asked of every role, the administrator included; `guards` holds the functions of the same names.
GUARDS: Mapping[str, str] = {
    "held": "a rule without end holds a sound copy of every preserved file, and the lifetime is at least a day",
    "held_without": "another rule without end holds a sound copy of every preserved file",
    "lasting": "nothing preserved gets under what has an end before a rule without end holds it",
    "named": "every name belongs to its scope",
    "no_end": "nothing preserved gets an end",
    "other_copy": "the catalogue knows another sound copy of every file, and Rucio has made all its locks",
    "replaced": "no copy there was declared bad and waits to be replaced",
    "suspected": "there is another sound copy, and the account has not told of the same copy today",
    "unregistered": "no file of the archive lies there",
    "without_delay": "new replicas do not expire by themselves",
}


@attrs.frozen
class Cell:
    """What a role may do.

    Attributes
    ----------
    condition
        The name of the condition; empty if there is none.
    refusal
        The sentence of the refusal; empty if it is allowed, or if the condition says why not.
    """

    condition: str = ""
    refusal: str = ""

    def __str__(self) -> str:
        if self.refusal:
            return f"refused: {self.refusal}"
        return f"allowed if {CONDITIONS[self.condition]}" if self.condition else "allowed"


@attrs.frozen
class Row:
    """What is asked, and what each role may do.

    Attributes
    ----------
    what
        What is asked, in words.
    cells
        The answer for each role.
    guard
        The name of what must hold as well, whatever the role; empty if nothing.
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
    """Return a row in which the administrator may, and an account without a role may not."""
    cells = (_ALLOWED, ingest, wms, operator, user, _READS_ONLY)
    return Row(what, dict(zip(Role, cells, strict=True)), guard)


def _admin_only(what: str, sentence: str, *, guard: str = "") -> Row:
    return _row(what, *[_no(sentence)] * 4, guard=guard)


def _nobody(what: str, sentence: str) -> Row:
    return Row(what, dict.fromkeys(Role, _no(sentence)))


_NO_RIGHT = _no(
    "Registering files on <RSE> needs the right to add replicas there; put the data into the archive by an ingest "
    "or by a job."
)
_OWNER, _ENDS_OFF_SITE = _if("owner"), _if("ends_off_site")
_APPEND_ONLY = f"Raw data are append-only; to take files out, {_ASK}"
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
        "put content into a dataset or container that ends, or has rules that end", *[_ALLOWED] * 4, guard="lasting"
    ),
    "compose": _row("make datasets and containers, and put content into them", *[_OWNER] * 4),
    "sample": _nobody(
        "have Rucio make a dataset of some files of another",
        "The archive makes no samples; make a dataset of your own, and attach the files that you want.",
    ),
    "detach-raw": _admin_only("take raw data out of a dataset or container", _APPEND_ONLY, guard="held_without"),
    "detach": _row(
        "take other data out of a dataset or container",
        _no(f"The archive is append-only for the ingest service; {_ASK}"),
        *[_OWNER] * 3,
        guard="held_without",
    ),
    "close": _row("close a dataset", *[_OWNER] * 4),
    "reopen": _admin_only(
        "open a closed dataset again",
        "A closed dataset stays closed, because its manifest has been written; start another one.",
    ),
    "describe": _row("set metadata", *[_OWNER] * 4),
    "describe-content": _admin_only(
        "set metadata of all that a dataset or container holds (recursive)",
        "Metadata are set name by name, because a dataset may hold what belongs to others; leave out recursive.",
    ),
    "kept-raw": _admin_only(
        "change what Rucio itself keeps of raw data (lifetime, checksum, account; DIRAC's removeDirectory)",
        f"Nobody may change what Rucio itself keeps: <keys>; raw data have no end. If they must, {_ASK}",
        guard="no_end",
    ),
    "kept": _row(
        "change what Rucio itself keeps of other data",
        _no(f"The ingest service may not change what Rucio itself keeps: <keys>; {_ASK}"),
        *[_OWNER] * 3,
        guard="no_end",
    ),
    "rule": _row(
        "ask for copies (a rule)", _if("endless"), _if("off_site"), _ENDS_OFF_SITE, _ENDS_OFF_SITE, guard="held"
    ),
    "copy": _row(
        "have copies made at storage elements (any new rule, any content under one)", *[_ALLOWED] * 4, guard="replaced"
    ),
    "subscribe": _nobody(
        "have Rucio make rules by itself (a subscription)",
        "The archive makes its rules itself, by its policy file; ask for copies by a rule.",
    ),
    "rule-of-another": _admin_only(
        "make a rule that belongs to another account, or is locked",
        f"Rules belong to who makes them and are not locked; for others, {_ASK}",
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
        "approve or deny a rule that waits for it",
        _INGEST_RULES,
        _no(f"The workload management does not approve rules; {_ASK}"),
        _if("own_centre"),
        _no("Rules are approved by the operators of the data centre; ask them."),
    ),
    "declare-bad": _row(
        "declare copies bad",
        _if("on_site"),
        _no("The workload management declares copies suspicious; whether they are bad is found out by the centre."),
        _if("own_centre"),
        _no("Declare the copies suspicious; whether they are bad is found out by the centre."),
        guard="other_copy",
    ),
    "declare-places": _nobody(
        "declare places bad, or copies unavailable for a while",
        "Rucio would act on it later, when it may be the last copy; declare the copies bad, which is checked at once.",
    ),
    "declare-suspicious": _row("declare copies suspicious", *[_ALLOWED] * 4, guard="suspected"),
    "delete-replicas": _nobody(
        "delete replicas at once, or give them a tombstone",
        "Nobody deletes replicas by hand; end the rules that hold them, and Rucio's reaper frees the space.",
    ),
    "delete-unknown": _admin_only(
        "have Rucio delete what lies at a storage element and is in no catalogue",
        f"This is for administrators; {_ASK}",
        guard="unregistered",
    ),
    "replica-state": _admin_only(
        "set the state of replicas",
        f"The state of replicas is kept by Rucio's daemons; if it is wrong, {_ASK}",
        guard="other_copy",
    ),
    "transfers": Row("read what became of transfers, and how much an account keeps", dict.fromkeys(Role, _ALLOWED)),
    "administer": _admin_only(
        "administer accounts and their attributes, scopes, limits, storage elements",
        f"This is for administrators; {_ASK}",
    ),
    "administer-storage": _admin_only(
        "set attributes of storage elements", f"This is for administrators; {_ASK}", guard="without_delay"
    ),
}
