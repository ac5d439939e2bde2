"""Read the transfers of a rule from Rucio, in few requests."""

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
    """Return the missing replicas of a rule, stuck ones first.

    All have their number of attempts. For the first `looked_at`, the messages of their transfers are read with two
    more requests each.
    """
    locks = [lock for lock in client.list_replica_locks(rule.id) if lock["state"] != "OK"]
    locks.sort(key=lambda lock: (lock["state"] != "STUCK", str(lock["name"])))
    # Rucio lists the transfers of stuck rules only; for other rules it returns just the state.
    examined = client.examine_replication_rule(rule.id)
    tried = {(str(row["name"]), str(row["rse"])): row for row in examined["transfers"]}
    return [
        _attempt(lock, tried.get((str(lock["name"]), str(lock["rse"]))), _requests(client, lock, number < looked_at))
        for number, lock in zip(itertools.count(), locks, strict=False)
    ]


def _requests(client: Client, lock: Mapping[str, Any], is_asked: bool) -> list[Mapping[str, Any]]:
    """Return the current and the previous transfer request of a replica, as far as they exist."""
    found = []
    for ask in (client.list_request_by_did, client.list_request_history_by_did) if is_asked else ():
        try:
            found.append(ask(str(lock["name"]), str(lock["rse"]), str(lock["scope"])))
        except rucio_exception.RequestNotFound:
            found.append({})
    return found


def _attempt(lock: Mapping[str, Any], tried: Mapping[str, Any] | None, requests: list[Mapping[str, Any]]) -> Attempt:
    """Combine the information on one replica."""
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
    """Return the free quota of an account at each storage element, in bytes."""
    return {
        str(row["rse"]): float(row["bytes_remaining"])
        for row in client.get_local_account_usage(account)
        if row["bytes_remaining"] is not None
    }


def kept(client: Client, account: str) -> Mapping[str, int]:
    """Return the usage of an account at each storage element, in bytes."""
    return {str(row["rse"]): int(row["bytes"] or 0) for row in client.get_local_account_usage(account)}
