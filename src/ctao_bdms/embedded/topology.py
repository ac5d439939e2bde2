"""The topology of an embedded Rucio: storage elements, accounts, scopes.

It has one site and two data centres: the smallest archive with two off-site copies of every product.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ctao_bdms.model import Site

__all__ = [
    "ACCOUNTS",
    "INGEST",
    "READER",
    "ROOT",
    "RSES",
    "SCOPES",
    "SERVICE",
    "USER",
    "VO",
    "WMS",
    "Account",
    "StorageElement",
]

#: The virtual organisation: the first component of every name.
VO = "ctao"

ROOT = "root"
INGEST = "bdms-ingest"
READER = "reader"
WMS = "wms"

#: The initial scopes and their owners: for data of ACADA, and for products of jobs.
SCOPES: Mapping[str, str] = {"acada": INGEST, "dpps": WMS}

SERVICE = "SERVICE"
USER = "USER"


@attrs.frozen
class StorageElement:
    """A storage element of the embedded Rucio.

    Attributes
    ----------
    name
        The name of the RSE.
    attributes
        Its RSE attributes, without those of every RSE and the URL of the transfer service.
    """

    name: str
    attributes: Mapping[str, str | bool]

    def all_attributes(self, transfers_url: str) -> dict[str, str | bool]:
        """Return all RSE attributes, with the transfer service at `transfers_url`."""
        # greedyDeletion: copies without a rule are deleted at once, to free their space
        common: dict[str, str | bool] = {
            "ANY": True,
            "fts": transfers_url,
            "greedyDeletion": True,
            "lfn2pfn_algorithm": "ctao_bdms",
            "verify_checksum": True,
        }
        return common | dict(self.attributes)


def _centre(centre: str, region: str, dirac: str) -> dict[str, str | bool]:
    return {"centre": centre, "DIRAC-SITE": dirac, "offsite": True, "region": region, "share": "1", "tier": "1"}


RSES: Mapping[str, StorageElement] = {
    element.name: element
    for element in (
        StorageElement(
            "CTAO-NORTH-ONSITE",
            {"site": Site.NORTH.value, "DIRAC-SITE": "CTAO.NORTH.es", "onsite": True, "region": "ES", "tier": "0"},
        ),
        StorageElement("PIC-DISK", _centre("PIC", "ES", "CTAO.PIC.es")),
        StorageElement("CSCS-DISK", _centre("CSCS", "CH", "CTAO.CSCS.ch")),
    )
}


@attrs.frozen
class Account:
    """An account of the embedded Rucio.

    Attributes
    ----------
    name
        The name; also its user name.
    kind
        ``SERVICE`` or ``USER``.
    role
        The account attribute ``bdms-role`` for permissions; None for none.
    unlimited
        True if its quota is unlimited on every RSE.
    """

    name: str
    kind: str
    role: str | None = None
    unlimited: bool = False


ACCOUNTS: Mapping[str, Account] = {
    account.name: account
    for account in (
        Account(ROOT, SERVICE, unlimited=True),
        Account(INGEST, SERVICE, role="ingest", unlimited=True),
        Account(READER, USER, role="user"),
        Account(WMS, SERVICE, role="wms", unlimited=True),
    )
}
