"""The persistent state of an embedded Rucio."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import quote, urlsplit, urlunsplit

import attrs

from ctao_bdms.durable import replace_text
from ctao_bdms.embedded.topology import ACCOUNTS
from ctao_bdms.errors import EmbeddedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["VERSION", "Phase", "State", "StorageKind", "parse_database_url", "redacted"]

#: The version of the home's layout.
VERSION = 1

#: ``new``: the database is empty; ``building``: setup has begun; ``ready``: setup is complete.
Phase = Literal["new", "building", "ready"]

#: ``files``: storage elements are folders; ``xrootd``: they are XRootD servers.
StorageKind = Literal["files", "xrootd"]

_SCHEMES = {"postgresql", "postgres", "postgresql+psycopg"}


def parse_database_url(url: str) -> str:
    """Return `url` in SQLAlchemy's form, with the name of the driver.

    Raises
    ------
    UsageError
        If it is not a PostgreSQL URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        msg = f"the database must be a PostgreSQL, as in postgresql://user@host/name, not {redacted(url)!r}"
        raise UsageError(msg)
    return f"postgresql+psycopg:{url.partition(':')[2]}"


def redacted(url: str) -> str:
    """Return `url` without its password."""
    parts = urlsplit(url)
    user, separator, host = parts.netloc.rpartition("@")
    name, colon, _password = user.partition(":")
    return urlunsplit(parts._replace(netloc=f"{name}:***{separator}{host}")) if colon else url


def _passwords() -> dict[str, str]:
    """Return a new password for each account."""
    return {account: secrets.token_urlsafe(24) for account in ACCOUNTS}


@attrs.frozen
class State:
    """The settings that must be the same at every start of a home.

    Attributes
    ----------
    server_port, transfers_port
        The ports of the REST server and of the transfer service; 0 before the first start.
    passwords
        The password of each account.
    database_url
        An external PostgreSQL; None for the home's own.
    phase
        The progress of the database setup.
    socket_folder
        The folder of the socket of the home's own database if the home's path is too long.
    storage
        The kind of storage elements.
    storage_ports
        The ports of the servers of each storage element, by scheme; empty if they are folders.
    """

    server_port: int = 0
    transfers_port: int = 0
    passwords: dict[str, str] = attrs.Factory(_passwords)
    database_url: str | None = None
    phase: Phase = "new"
    socket_folder: str | None = None
    storage: StorageKind = "files"
    storage_ports: dict[str, dict[str, int]] = attrs.Factory(dict)

    @property
    def server_url(self) -> str:
        """The URL of the REST server."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def transfers_url(self) -> str:
        """The URL of the transfer service."""
        return f"http://127.0.0.1:{self.transfers_port}"

    def sqlalchemy_url(self, socket: Path) -> str:
        """Return the database's URL; `socket` is the folder of the socket of the home's own database."""
        return self.database_url or f"postgresql+psycopg://postgres@/postgres?host={quote(os.fspath(socket))}"

    def save(self, path: Path) -> None:
        """Write the state to `path`."""
        replace_text(path, json.dumps({"version": VERSION, **attrs.asdict(self)}, indent=2) + "\n", mode=0o600)

    @classmethod
    def load(cls, path: Path) -> State | None:
        """Read the state from `path`; None if the file does not exist.

        Raises
        ------
        EmbeddedError
            If the file is damaged or of another version.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            msg = f"{path} is damaged ({error}); restore it, or choose another --home"
            raise EmbeddedError(msg) from error
        if not isinstance(document, dict) or document.pop("version", None) != VERSION:
            msg = f"{path} was written by another version of ctao-bdms; choose another --home"
            raise EmbeddedError(msg)
        document = {"storage": "files", "storage_ports": {}, **document}  # earlier releases had folders only
        fields = {field.name for field in attrs.fields(cls)}
        known = set(document) == fields and document["storage"] in get_args(StorageKind)
        if not known or document["phase"] not in get_args(Phase):
            msg = f"{path} is damaged: its entries are invalid; restore it, or choose another --home"
            raise EmbeddedError(msg)
        document["passwords"] = _passwords() | document["passwords"]  # earlier releases had fewer accounts
        return cls(**document)
