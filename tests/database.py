"""The database of an embedded Rucio, for what its policy lets nobody do over REST: to clean up after a test."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import psycopg

from ctao_bdms.embedded.configuration import SCHEMA

if TYPE_CHECKING:
    from ctao_bdms.embedded import Instance

__all__ = ["expire"]


def expire(instance: Instance, scope: str, pattern: str) -> None:
    """Let datasets end now; Rucio's undertaker then takes them away with their rules.

    Parameters
    ----------
    instance
        The embedded Rucio.
    scope, pattern
        Their scope, and their names, with ``%``.
    """
    server = configparser.RawConfigParser()
    server.read(instance.home.server_config)
    url = server["database"]["default"].replace("postgresql+psycopg:", "postgresql:", 1)
    with psycopg.connect(url) as connection:
        connection.execute(
            f"update {SCHEMA}.dids set expired_at = now() at time zone 'utc' - interval '1 minute' "
            "where scope = %s and name like %s and did_type = 'D'",
            (scope, pattern),
        )
