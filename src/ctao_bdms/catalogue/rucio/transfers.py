"""What Rucio knows of the transfers that a rule asks for, in few requests."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from rucio.common import exception as rucio_exception

from ctao_bdms.catalogue.rucio import answers
from ctao_bdms.model import Attempt, Lfn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio.client.client import Client

    from ctao_bdms.model import Rule

__all__ = ["attempts", "room"]


def attempts(client: Client, rule: Rule, looked_at: int) -> list[Attempt]:
    """Return the copies that a rule still waits for, those that are stuck first.

    Of all is known how often they were tried; of the first `looked_at` it is asked what the transfers said: two more
    requests each.
    """
    locks = [lock for lock in client.list_replica_locks(rule.id) if lock["state"] != "OK"]
    locks.sort(key=lambda lock: (lock["state"] != "STUCK", str(lock["name"])))
    # Rucio tells of a rule that is stuck what was tried; of any other it says its state only.
    examined = client.examine_replication_rule(rule.id)
    tried = {(str(row["name"]), str(row["rse"])): row for row in examined["transfers"]}
    return [
        _attempt(lock, tried.get((str(lock["name"]), str(lock["rse"]))), _requests(client, lock, number < looked_at))
        for number, lock in zip(itertools.count(), locks, strict=False)
    ]


def _requests(client: Client, lock: Mapping[str, Any], is_asked: bool) -> list[Mapping[str, Any]]:
    """Return the transfer that is asked for now, and one that was before, as far as there are."""
    found = []
    for ask in (client.list_request_by_did, client.list_request_history_by_did) if is_asked else ():
        try:
            found.append(ask(str(lock["name"]), str(lock["rse"]), str(lock["scope"])))
        except rucio_exception.RequestNotFound:
            found.append({})
    return found


def _attempt(lock: Mapping[str, Any], tried: Mapping[str, Any] | None, requests: list[Mapping[str, Any]]) -> Attempt:
    """Put together what was said of one copy."""
    now, before = requests or ({}, {})
    created = now.get("created_at") or (tried or {}).get("last_time")
    return Attempt(
        lfn=Lfn(str(lock["name"])),
        rse=str(lock["rse"]),
        is_stuck=lock["state"] == "STUCK",
        state=str(now.get("state") or "").lower(),
        tries=int(tried["attempts"]) if tried else int(now.get("retry_count") or 0),
        source=str(now.get("source_rse") or (tried or {}).get("last_source") or before.get("source_rse") or ""),
        sources=tuple(sorted(str(name) for name, is_readable in (tried or {}).get("sources", ()) if is_readable)),
        said=str(now.get("err_msg") or before.get("err_msg") or ""),
        since=None if created is None else answers.aware(created),
    )


def room(client: Client, account: str) -> Mapping[str, float]:
    """Return how much more an account may keep at each storage element, in bytes."""
    return {
        str(row["rse"]): float(row["bytes_remaining"])
        for row in client.get_local_account_usage(account)
        if row["bytes_remaining"] is not None
    }


def kept(client: Client, account: str) -> Mapping[str, int]:
    """Return how much an account keeps at each storage element, in bytes."""
    return {str(row["rse"]): int(row["bytes"] or 0) for row in client.get_local_account_usage(account)}
