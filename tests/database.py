"""The database of an embedded Rucio, for what its policy lets nobody do over REST: to clean up after a test."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import psycopg

from ctao_bdms.embedded.database.inspection import libpq
from ctao_bdms.embedded.rucio.configuration import SCHEMA

if TYPE_CHECKING:
    from ctao_bdms.embedded import Instance

__all__ = ["expire", "unfinished"]


def expire(instance: Instance, scope: str, pattern: str) -> None:
    """Let datasets end now; Rucio's undertaker then takes them away with their rules.

    Parameters
    ----------
    instance
        The embedded Rucio.
    scope, pattern
        Their scope, and their names, with ``%``.
    """
    with _connected(instance) as connection:
        connection.execute(
            f"update {SCHEMA}.dids set expired_at = now() at time zone 'utc' - interval '1 minute' "
            "where scope = %s and name like %s and did_type = 'D'",
            (scope, pattern),
        )


def unfinished(instance: Instance, scope: str) -> list[str]:
    """Return what Rucio has still to do in a scope: locks that are not OK, requests, updates of the evaluator.

    Parameters
    ----------
    instance
        The embedded Rucio.
    scope
        The scope.
    """
    questions = {
        "lock": "select rse, l.state, r.state, r.lock_cnt, l.name from {0}.locks l join {0}.rses on rses.id = l.rse_id "
        "left join {0}.replicas r on (r.scope, r.name, r.rse_id) = (l.scope, l.name, l.rse_id) "
        "where l.scope = %s and l.state != 'O'",
        "request": "select state, retry_count, err_msg, external_id, updated_at, name from {0}.requests "
        "where scope = %s",
        "update": "select * from {0}.updated_dids where scope = %s",
        "rule": "select rse_expression, state, error, locks_ok_cnt, locks_replicating_cnt, locks_stuck_cnt, name "
        "from {0}.rules where scope = %s and state != 'O'",
    }
    with _connected(instance) as connection:
        return [
            f"{kind} {row}"
            for kind, question in questions.items()
            for row in connection.execute(question.format(SCHEMA), (scope,))
        ]


def _connected(instance: Instance) -> psycopg.Connection:
    """Connect to the database; as a context, it commits at the end."""
    server = configparser.RawConfigParser()
    server.read(instance.home.server_config)
    return psycopg.connect(libpq(server["database"]["default"]))
