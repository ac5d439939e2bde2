"""Storage elements that are banned, and the limits that clients have set for them."""

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
        """Ban the storage that the body of ``POST /ban/se`` names: no copy from or to it is started any more.

        Returns its name, and True if its jobs are to be cancelled rather than to wait.

        Raises
        ------
        InvalidRequestError
            If the body makes no sense.
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
        """Keep the configuration of each storage that the body of ``POST /config/se`` names; return all that is kept.

        Raises
        ------
        InvalidRequestError
            If the body makes no sense.
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
        """Return the configuration of every storage that has one."""
        rows = self._database.execute("select se, config from configured order by se")
        return {row["se"]: json.loads(row["config"]) for row in rows}


_BAN = {"storage": "", "status": "CANCEL", "message": ""}


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object, an empty one if it is not there."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{where} must be a JSON object")
    return value
