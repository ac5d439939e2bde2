"""Convert Rucio's responses to values of the data model."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from ctao_bdms.model import (
    METADATA,
    ArchivedFile,
    Block,
    Did,
    Lfn,
    Product,
    ProductMetadata,
    Replica,
    ReplicaState,
    Rule,
    RuleState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SCHEMES", "archived_file", "aware", "block", "product", "rule", "truth", "write_url"]

#: The URL schemes that this library can read, in the order in which the URLs of a copy are tried. Rucio's own order
#: needs a geographical database, or is random.
SCHEMES = ("file", "root", "roots", "https", "davs", "http", "dav")
#: The URL schemes for writing, the best first; `davs` and `dav` are other names for HTTP.
_WRITING = {"file": "file", "davs": "https", "https": "https", "http": "http", "dav": "http"}

_REPLICA_STATES = {
    "AVAILABLE": ReplicaState.AVAILABLE,
    "BAD": ReplicaState.BAD,
    "BEING_DELETED": ReplicaState.BEING_DELETED,
    "COPYING": ReplicaState.COPYING,
    "TEMPORARY_UNAVAILABLE": ReplicaState.TEMPORARY_UNAVAILABLE,
    "UNAVAILABLE": ReplicaState.UNAVAILABLE,
}
_RULE_STATES = {
    "OK": RuleState.OK,
    "REPLICATING": RuleState.REPLICATING,
    "STUCK": RuleState.STUCK,
    "SUSPENDED": RuleState.SUSPENDED,
    "WAITING_APPROVAL": RuleState.WAITING,
    "INJECT": RuleState.INJECTING,
}


def product(row: Mapping[str, Any]) -> Product:
    """Convert a row of a search in the long form."""
    known = {key: value for key, value in row.items() if key in METADATA and value is not None}
    return Product(
        lfn=Lfn(row["name"]),
        size_bytes=int(row["bytes"]),
        adler32=str(row["adler32"]),
        metadata=ProductMetadata(known),
    )


def _place(pfn: str) -> int:
    """Return the rank of a URL in the order of `SCHEMES`."""
    scheme = pfn.partition(":")[0]
    return SCHEMES.index(scheme) if scheme in SCHEMES else len(SCHEMES)


def archived_file(row: Mapping[str, Any]) -> ArchivedFile:
    """Convert a row of a list of replicas."""
    doors: dict[str, list[str]] = {}
    for pfn, about in sorted(row["pfns"].items(), key=lambda door: (_place(str(door[0])), str(door[0]))):
        doors.setdefault(str(about["rse"]), []).append(str(pfn))
    replicas = tuple(
        Replica(rse=rse, state=_REPLICA_STATES[state], pfn=pfns[0] if pfns else "", others=tuple(pfns[1:]))
        for rse, state in sorted(row["states"].items())
        for pfns in [doors.get(rse, [])]
    )
    parents = [str(parent).split(":", 1) for parent in row.get("parents", ())]
    return ArchivedFile(
        lfn=Lfn(row["name"]),
        size_bytes=int(row["bytes"]),
        adler32=str(row["adler32"]),
        replicas=replicas,
        datasets=frozenset(Did(scope, name) for scope, name in parents),
    )


def block(row: Mapping[str, Any]) -> Block:
    """Convert a row of Rucio's own metadata of a dataset."""
    return Block(
        did=Did(str(row["scope"]), str(row["name"])),
        is_open=bool(row["is_open"]),
        n_files=int(row["length"] or 0),
        size_bytes=int(row["bytes"] or 0),
        created=aware(row["created_at"]),
        account=str(row["account"]),
    )


def aware(stamp: object) -> dt.datetime:
    """Convert a time stamp of Rucio (UTC without a zone) to an aware time."""
    if isinstance(stamp, dt.datetime):
        return stamp.replace(tzinfo=dt.UTC)
    text = str(stamp)
    form = "%a, %d %b %Y %H:%M:%S %Z" if "," in text else "%Y-%m-%d %H:%M:%S"
    return dt.datetime.strptime(text, form).replace(tzinfo=dt.UTC)


def truth(value: object) -> bool:
    """Convert an RSE attribute to a truth value; Rucio stores it as given, perhaps as a text."""
    return str(value).lower() in {"true", "1", "yes"}


def write_url(protocols: Sequence[Mapping[str, Any]]) -> str:
    """Return the URL prefix for writing, from the protocols of a storage element."""
    able = [
        row
        for scheme in _WRITING
        for row in protocols
        if row["scheme"] == scheme and any(row["domains"].get(domain, {}).get("write") for domain in ("wan", "lan"))
    ]
    if not able:
        return ""
    scheme, host, port = able[0]["scheme"], able[0]["hostname"], able[0]["port"]
    place = f"{host}:{port}" if port else host
    return f"{_WRITING[scheme]}://{place}{str(able[0]['prefix']).rstrip('/')}"


def rule(row: Mapping[str, Any]) -> Rule:
    """Convert a row of a list of rules."""
    return Rule(
        id=str(row["id"]),
        did=Did(str(row["scope"]), str(row["name"])),
        rse_expression=str(row["rse_expression"]),
        copies=int(row["copies"]),
        state=_RULE_STATES[str(row["state"])],
        locks={
            "ok": int(row["locks_ok_cnt"]),
            "replicating": int(row["locks_replicating_cnt"]),
            "stuck": int(row["locks_stuck_cnt"]),
        },
        source=str(row["source_replica_expression"] or ""),
        error=str(row["error"] or ""),
        expires=None if row["expires_at"] is None else aware(row["expires_at"]),
        account=str(row["account"]),
        created=aware(row["created_at"]),
        updated=aware(row["updated_at"]),
        activity=str(row["activity"] or ""),
        priority=int(row["priority"] or 3),
    )
