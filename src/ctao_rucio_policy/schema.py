r"""Override the name patterns of Rucio's generic schema.

All entries that are not here remain Rucio's own, also after an upgrade. ``SCHEMAS`` repeats the overridden entries
that Rucio looks up directly; all others reach ours by reference. Patterns end in ``\Z``, because ``$`` accepts a
trailing newline.
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

#: The maximum length of account names: those of the identity provider have dots and exceed Rucio's 25 characters.
ACCOUNT_LENGTH = 64

ACCOUNT = {
    "description": "Account name",
    "type": "string",
    "maxLength": ACCOUNT_LENGTH,
    "pattern": r"^[a-z0-9_.-]+\Z",
}

ACTIVITY = {"description": "Activity name", "type": "string", "enum": list(ACTIVITIES)}

#: Storage elements: Rucio's own pattern, without a trailing newline, and limited to the width of the column.
RSE = {
    "description": "RSE name",
    "type": "string",
    "maxLength": 255,
    "pattern": r"^[A-Z0-9]+(?:[_-][A-Z0-9]+)*\Z",
}

#: The RSE attributes that placement, permissions and DIRAC use. Rucio accepts any attribute.
RSE_ATTRIBUTES = {
    "site": "the site of the observatory; on-site storage elements only",
    "centre": "the data centre that owns it; off-site storage elements only",
    "onsite": "true on site: for expressions and for permissions",
    "offsite": "true at a data centre: for expressions",
    "share": "the share of the data that the centre stores, relative to the others; default: 1",
    "tape": "true for tape: copies on tape required by a policy are stored here",
    "full": "true: the centre gets no new nights and keeps its data",
    "free_bytes": "free space reported by the centre; below the policy's `placement.keep_free_bytes`, it is full",
    "lost": "why the centre's copies are lost: other centres replace them; set by `bdms centres lose`",
    "tier": "0 on site, 1 at a data centre",
    "region": "the region or country, e.g. `ES`",
    "fts": "the transfer service: an FTS3 in production",
    "lfn2pfn_algorithm": "`ctao_bdms`: the physical name is the prefix followed by the LFN",
    "verify_checksum": "true: transfers are verified at both ends",
    "greedyDeletion": "true: replicas without a rule are deleted",
    "DIRAC-SITE": "the name of the site in DIRAC",
    "ANY": "true: DIRAC's rules for copies anywhere use it",
}

#: Splits a URL path into scope and name. Names begin with ``/``, so a web server gets ``/<scope>//<vo>/...``. Some
#: servers merge the two slashes into one; both forms match.
SCOPE_NAME_REGEXP = r"/([^/]*)(?:/(?=/))?(/.*)"

SCHEMAS = {"account": ACCOUNT, "activity": ACTIVITY, "name": NAME, "rse": RSE, "scope": SCOPE}
