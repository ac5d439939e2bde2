"""Connect to a PostgreSQL database of Rucio, and check it before Rucio uses it."""

from __future__ import annotations

from ctao_bdms.embedded.rucio.configuration import SCHEMA
from ctao_bdms.embedded.state import redacted
from ctao_bdms.errors import EmbeddedError

__all__ = ["drop_schema", "holds_rucio", "libpq", "server_answers"]

_CONNECT_S = 10


def libpq(url: str) -> str:
    """Return the URL in the form of the driver."""
    return url.replace("postgresql+psycopg:", "postgresql:", 1)


def server_answers(url: str) -> str | None:
    """Return None if the database at `url` accepts a connection, else the error."""
    import psycopg

    try:
        psycopg.connect(libpq(url), connect_timeout=_CONNECT_S).close()
    except psycopg.OperationalError as error:
        return str(error).strip() or "no answer"
    except psycopg.ProgrammingError as error:  # the URL is invalid
        return str(error).strip()
    return None


def holds_rucio(url: str) -> bool:
    """Return True if the database already has Rucio's schema."""
    import psycopg

    with psycopg.connect(libpq(url), connect_timeout=_CONNECT_S) as connection:
        found = connection.execute("select 1 from information_schema.schemata where schema_name = %s", [SCHEMA])
        return found.fetchone() is not None


def drop_schema(url: str) -> None:
    """Drop the schema of a Rucio whose setup was interrupted.

    Raises
    ------
    EmbeddedError
        If the database refuses.
    """
    import psycopg

    try:
        with psycopg.connect(libpq(url), connect_timeout=_CONNECT_S) as connection:
            connection.execute(f"drop schema if exists {SCHEMA} cascade")
    except psycopg.Error as error:
        msg = f"cannot drop the schema {SCHEMA} of an interrupted start from {redacted(url)}: {error}"
        raise EmbeddedError(msg) from error
