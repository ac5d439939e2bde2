"""Connect to the archive through Rucio."""

from __future__ import annotations

from pathlib import Path

from ctao_bdms.archive.bdms import Bdms
from ctao_bdms.replication import Policy

__all__ = ["connect"]


def connect(
    config: Path | str | None = None, *, policy: Policy | Path | str | None = None, quarantine: Path | None = None
) -> Bdms:
    """Connect to the archive.

    Parameters
    ----------
    config
        A ``rucio.cfg`` of a client, as `bdms status` names it for an embedded Rucio. By default the one that Rucio's
        own client finds: ``RUCIO_CONFIG``, or ``$RUCIO_HOME/etc/rucio.cfg``.
    policy
        How products are kept, or a policy file; by default as the observatory's own policy says.
    quarantine
        The folder of the quarantine; by default beside the storage root.

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
    catalogue = RucioCatalogue.connect(None if config is None else Path(config))
    return Bdms(catalogue, policy=known, quarantine=quarantine)
