"""Read our identity at the server, and the server's version and time."""

from __future__ import annotations

import datetime as dt
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.catalogue.rucio.convert import converted

if TYPE_CHECKING:
    from ctao_bdms.catalogue.rucio.adapter import RucioCatalogue

__all__ = ["Identity", "identity"]


@attrs.frozen(kw_only=True)
class Identity:
    """Our identity at the server.

    Attributes
    ----------
    role
        The account attribute ``bdms-role``; empty if there is none.
    server_version
        The version of Rucio on the server.
    server_time
        The server's time in its response, to the second; None if it has none.
    """

    account: str
    role: str
    server_version: str
    server_time: dt.datetime | None


def identity(catalogue: RucioCatalogue) -> Identity:
    """Read our identity from the server.

    Raises
    ------
    CatalogueError
        If the server does not answer, or rejects the credentials.
    """
    client = catalogue.client
    with converted("reading our account from the server"):
        account = str(client.whoami()["account"])
        rows = next(iter(client.list_account_attributes(account)))
        answer = client.session.get(f"{client.host}/ping", verify=client.ca_cert or True, timeout=client.timeout)
        answer.raise_for_status()
    date = answer.headers.get("Date")
    return Identity(
        account=account,
        role=next((str(row["value"]) for row in rows if row["key"] == "bdms-role"), ""),
        server_version=str(answer.json()["version"]),
        server_time=parsedate_to_datetime(date) if date else None,
    )
