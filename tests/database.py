"""The database of an embedded Rucio, for what its policy lets nobody do over REST: to clean up after a test."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import psycopg

from ctao_bdms.embedded.configuration import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.embedded import Instance

__all__ = ["expire", "suspend_rules"]


def suspend_rules(instance: Instance, scopes: Sequence[str]) -> None:
    """Suspend all rules in scopes, and forget what they still ask to be copied.

    To end them instead would have Rucio delete each of their replicas, while other tests wait for its daemons.

    Parameters
    ----------
    instance
        The embedded Rucio.
    scopes
        The scopes.
    """
    with _connected(instance) as connection:
        connection.execute(f"update {SCHEMA}.rules set state = 'U' where scope = any(%s)", (list(scopes),))
        connection.execute(f"delete from {SCHEMA}.requests where scope = any(%s)", (list(scopes),))


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


def _connected(instance: Instance) -> psycopg.Connection:
    """Connect to the database; as a context, it commits at the end."""
    server = configparser.RawConfigParser()
    server.read(instance.home.server_config)
    return psycopg.connect(server["database"]["default"].replace("postgresql+psycopg:", "postgresql:", 1))
