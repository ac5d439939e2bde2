"""Banned storage elements, and limits set by clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ctao_bdms.embedded.transfers.refusals import InvalidRequestError

if TYPE_CHECKING:
    import sqlite3

    from ctao_bdms.embedded.transfers.database import Database

__all__ = ["Storages"]


class Storages:
    """The storage elements in a database, by name, e.g. ``file://localhost``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ban(self, body: object, now: float) -> tuple[str, bool]:
        """Ban the storage in the body of ``POST /ban/se``: no new copy from or to it is started.

        Returns its name, and True if its jobs are to be cancelled instead of waiting.

        Raises
        ------
        InvalidRequestError
            If the body is invalid.
        """
        request = body if isinstance(body, Mapping) else {}
        name, status, message = (request.get(key, default) for key, default in _BAN.items())
        if not isinstance(name, str) or not name or not isinstance(message, str):
            raise InvalidRequestError("storage must be the name of a storage element, and message a text")
        if not isinstance(status, str) or status.upper() not in {"CANCEL", "WAIT"}:
            raise InvalidRequestError(f"status must be 'cancel' or 'wait', not {status!r}")
        self._database.execute(
            "insert or replace into banned (se, status, message, since) values (?, ?, ?, ?)",
            (name, status.upper(), message, now),
        )
        return name, status.upper() == "CANCEL"

    def lift(self, name: str) -> None:
        """End the ban of a storage."""
        self._database.execute("delete from banned where se = ?", (name,))

    def banned(self) -> list[sqlite3.Row]:
        """Return the banned storages."""
        return self._database.execute("select * from banned order by se")

    def configure(self, body: object) -> dict[str, Any]:
        """Store the configuration of each storage in the body of ``POST /config/se``; return all configurations.

        Raises
        ------
        InvalidRequestError
            If the body is invalid.
        """
        if not isinstance(body, Mapping) or not all(isinstance(config, Mapping) for config in body.values()):
            raise InvalidRequestError("the request must hold one JSON object for each storage element")
        with self._database.writing():
            kept = self.configured()
            for name, config in body.items():
                merged = {
                    part: {**kept.get(name, {}).get(part, {}), **_mapping(config.get(part), f"{name}: {part}")}
                    for part in ("operations", "se_info")
                }
                self._database.execute(
                    "insert or replace into configured (se, config) values (?, ?)", (name, json.dumps(merged))
                )
        return self.configured()

    def configured(self) -> dict[str, Any]:
        """Return all configurations by storage."""
        rows = self._database.execute("select se, config from configured order by se")
        return {row["se"]: json.loads(row["config"]) for row in rows}


_BAN = {"storage": "", "status": "CANCEL", "message": ""}


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object, or an empty one for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{where} must be a JSON object")
    return value
