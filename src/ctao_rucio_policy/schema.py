r"""What names may look like: our overrides of Rucio's generic schema, and nothing else.

Whatever does not stand here is Rucio's own, entry by entry, also after an upgrade. ``SCHEMAS`` repeats the overridden
entries that Rucio looks up directly; all others reach ours by reference. Patterns end in ``\Z``: ``$`` would let a
newline pass.
"""

from __future__ import annotations

from typing import Any

from ctao_bdms.model.activities import ACTIVITIES

__all__ = [
    "ACCOUNT",
    "ACCOUNT_LENGTH",
    "ACTIVITIES",
    "ACTIVITY",
    "NAME",
    "RSE",
    "RSE_ATTRIBUTES",
    "SCHEMAS",
    "SCOPE",
    "SCOPE_NAME_REGEXP",
]

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

ACTIVITY = {"description": "Activity name", "type": "string", "enum": list(ACTIVITIES)}

#: Storage elements: words of capital letters and digits, as Rucio's own, but no newline behind, and no longer than the
#: column.
RSE = {
    "description": "RSE name",
    "type": "string",
    "maxLength": 255,
    "pattern": r"^[A-Z0-9]+(?:[_-][A-Z0-9]+)*\Z",
}

#: What the attributes of storage elements mean. Rucio takes any; placement, permissions and DIRAC go by these.
RSE_ATTRIBUTES = {
    "site": "the site of the observatory where it stands; only on site",
    "centre": "the off-site data centre that owns it; only off site",
    "onsite": "true on site: for expressions and for permissions",
    "offsite": "true at a data centre: for expressions",
    "share": "the share of the data that the centre takes, relative to the others; 1 by default",
    "tape": "true for tape: where a policy asks for a copy on tape, it lies here",
    "full": "true: the centre takes no new nights, and keeps what it has",
    "free_bytes": "free space as the centre says it; below the policy's `placement.keep_free_bytes` it counts as full",
    "lost": "why the centre's copies count no longer: others take its place; `bdms centres lose` sets it",
    "tier": "0 on site, 1 at a data centre",
    "region": "where it stands, e.g. `ES`",
    "fts": "the transfer service: an FTS3 in production",
    "lfn2pfn_algorithm": "`ctao_bdms`: the physical name is the prefix followed by the LFN",
    "verify_checksum": "true: transfers are verified at both ends",
    "greedyDeletion": "true: what no rule holds any longer is removed",
    "DIRAC-SITE": "the name of the site in DIRAC",
    "ANY": "true: DIRAC asks for copies anywhere by it",
}

#: How a URL path is split into scope and name. As names begin with ``/``, a web server sees ``/<scope>//<vo>/...``;
#: some merge the two slashes into one, others do not: both are understood.
SCOPE_NAME_REGEXP = r"/([^/]*)(?:/(?=/))?(/.*)"

SCHEMAS = {"account": ACCOUNT, "activity": ACTIVITY, "name": NAME, "rse": RSE, "scope": SCOPE}
