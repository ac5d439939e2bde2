"""Who we are at the server, and what it says of itself."""

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
    """Who we are at the server.

    Attributes
    ----------
    role
        Its attribute ``bdms-role``; empty if it has none.
    server_version
        The version of the server's Rucio.
    server_time
        The server's time when it answered, to the second; None if it does not say.
    """

    account: str
    role: str
    server_version: str
    server_time: dt.datetime | None


def identity(catalogue: RucioCatalogue) -> Identity:
    """Ask the server who we are.

    Raises
    ------
    CatalogueError
        If it does not answer, or does not accept us.
    """
    client = catalogue.client
    with converted("asking the server who we are"):
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
