"""The archive in one object, and the way to it."""

from __future__ import annotations

from pathlib import Path

from ctao_bdms.facade.finding import Finding
from ctao_bdms.facade.ingesting import Ingesting
from ctao_bdms.facade.keeping import Keeping

__all__ = ["Bdms", "connect"]


class Bdms(Ingesting, Finding, Keeping):
    """The archive.

    Parameters
    ----------
    catalogue
        A connected catalogue, or the one in memory.
    now
        The clock (aware).
    quarantine
        The folder of the quarantine; by default beside the storage root.
    """


def connect(config: Path | str | None = None) -> Bdms:
    """Connect to the archive.

    Parameters
    ----------
    config
        A ``rucio.cfg`` of a client, as `bdms status` names it for an embedded Rucio. By default the one that Rucio's
        own client finds: ``RUCIO_CONFIG``, or ``$RUCIO_HOME/etc/rucio.cfg``.

    Raises
    ------
    MissingExtraError
        If ``ctao-bdms[client]`` is not installed.
    NotFoundError
        If there is no configuration.
    AuthenticationError, UnreachableError
        If the server refuses or does not answer.
    """
    try:
        from ctao_bdms.catalogue.rucio import RucioCatalogue
    except ModuleNotFoundError as error:
        from ctao_bdms.errors import MissingExtraError

        raise MissingExtraError("client", error.name or "rucio") from error
    return Bdms(RucioCatalogue.connect(None if config is None else Path(config)))
