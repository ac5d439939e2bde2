r"""What names may look like: our overrides of Rucio's generic schema, and nothing else.

Whatever does not stand here is Rucio's own, entry by entry, also after an upgrade. ``SCHEMAS`` repeats the overridden
entries that Rucio looks up directly; all others reach ours by reference. Patterns end in ``\Z``: ``$`` would let a
newline pass.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ACCOUNT", "ACCOUNT_LENGTH", "ACTIVITY", "ACTIVITIES", "NAME", "SCHEMAS", "SCOPE", "SCOPE_NAME_REGEXP"]

#: Canonical names, as `ctao_bdms.model.Lfn`, and ``/<vo>`` alone for the container of everything.
NAME: dict[str, Any] = {
    "description": "Data identifier name: /<vo>/<scope>/..., letters, digits and . _ + -, no empty, . or .. component",
    "type": "string",
    "maxLength": 250,
    "pattern": r"^(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._+-]+)+\Z",
}

#: Scopes: the second component of a name, or ``user.<username>``.
SCOPE = {
    "description": "Scope name",
    "type": "string",
    "maxLength": 25,
    "pattern": r"^[a-zA-Z0-9_.-]+\Z",
}

#: The width of account names: those of the identity provider are longer than Rucio's 25 characters, and have dots.
ACCOUNT_LENGTH = 64

ACCOUNT = {
    "description": "Account name",
    "type": "string",
    "maxLength": ACCOUNT_LENGTH,
    "pattern": r"^[a-z0-9_.-]+\Z",
}

#: What each activity is for. Transfers of an activity share their part of a link; all names of Rucio's generic schema
#: stay allowed, because its own daemons use them.
ACTIVITIES = {
    "Analysis Input": "input of a user's jobs",
    "Analysis Output": "output of a user's jobs",
    "Data Brokering": "copies near free job slots",
    "Data Challenge": "tests at scale",
    "Data Consolidation": "copies of derived products at a second data centre",
    "Data Rebalancing": "moves between data centres to even out their load",
    "Debug": "single transfers by hand",
    "Express": "urgent transfers",
    "Functional Test": "small regular tests of every link",
    "Group Subscriptions": "standing orders of a group",
    "Production Input": "input of processing and simulation jobs",
    "Production Output": "output of processing and simulation jobs",
    "Staging": "recall from tape",
    "T0 Export": "raw data from the site to the data centres",
    "T0 Tape": "raw data to tape",
    "Upload/Download (Job)": "a job's own transfers",
    "Upload/Download (User)": "a person's own transfers",
    "User Subscriptions": "rules of people, unless they say otherwise",
    "User Transfers": "replicas that DIRAC asks for (addReplica)",
}

ACTIVITY = {"description": "Activity name", "type": "string", "enum": list(ACTIVITIES)}

#: How a URL path is split into scope and name. As names begin with ``/``, a web server sees ``/<scope>//<vo>/...``;
#: some merge the two slashes into one, others do not: both are understood.
SCOPE_NAME_REGEXP = r"/([^/]*)(?:/(?=/))?(/.*)"

SCHEMAS = {"account": ACCOUNT, "activity": ACTIVITY, "name": NAME, "scope": SCOPE}
