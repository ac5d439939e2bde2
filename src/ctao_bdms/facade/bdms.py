"""The archive in one object, and the way to it."""

from __future__ import annotations

from pathlib import Path

from ctao_bdms.facade.finding import Finding
from ctao_bdms.facade.ingesting import Ingesting
from ctao_bdms.facade.keeping import Keeping
from ctao_bdms.facade.putting import Putting
from ctao_bdms.facade.replicating import Replicating
from ctao_bdms.replication import Policy

__all__ = ["Bdms", "connect"]


class Bdms(Ingesting, Putting, Finding, Replicating, Keeping):
    """The archive.

    Parameters
    ----------
    catalogue
        A connected catalogue, or the one in memory.
    now
        The clock (aware).
    quarantine
        The folder of the quarantine; by default beside the storage root.
    policy
        How products are kept; by default as the observatory's own policy says.
    """


def connect(config: Path | str | None = None, *, policy: Policy | Path | str | None = None) -> Bdms:
    """Connect to the archive.

    Parameters
    ----------
    config
        A ``rucio.cfg`` of a client, as `bdms status` names it for an embedded Rucio. By default the one that Rucio's
        own client finds: ``RUCIO_CONFIG``, or ``$RUCIO_HOME/etc/rucio.cfg``.
    policy
        How products are kept, or a policy file; by default as the observatory's own policy says.

    Raises
    ------
    MissingExtraError
        If ``ctao-bdms[client]`` is not installed.
    NotFoundError
        If there is no configuration.
    InvalidSettingsError
        If the policy file does not hold.
    AuthenticationError, UnreachableError
        If the server refuses or does not answer.
    """
    try:
        from ctao_bdms.catalogue.rucio import RucioCatalogue
    except ModuleNotFoundError as error:
        from ctao_bdms.errors import MissingExtraError

        raise MissingExtraError("client", error.name or "rucio") from error
    known = policy if isinstance(policy, Policy) else Policy.load(policy)
    return Bdms(RucioCatalogue.connect(None if config is None else Path(config)), policy=known)
