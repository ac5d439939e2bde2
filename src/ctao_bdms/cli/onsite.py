"""Options of commands about a site: archive, storage element and journal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from ctao_bdms.archive import Bdms, connect
from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive, policy_file
from ctao_bdms.ingest import CheckPolicy

__all__ = ["DEFAULT_SITE", "Config", "OnSite", "SiteChoice"]

Config = Annotated[
    Path | None,
    Parameter(name="--config", help="The settings of the daemon, with archive, storage, journal and checks."),
]


@attrs.frozen(kw_only=True)
class OnSite:
    """The archive and the on-site storage of a command.

    Attributes
    ----------
    rse
        The storage element; empty for the only one.
    journal
        The journal; None if none is given.
    lease
        The folder of the daemon's lease; None for the one next to the storage root.
    lease_silent_s
        How long a silent holder of the lease is watched, in seconds.
    checks
        The severity of the cross-checks; None for the strictest.
    sidecars
        Whether the producers' sidecar files are compared.
    """

    bdms: Bdms
    rse: str = ""
    journal: Path | None = None
    lease: Path | None = None
    lease_silent_s: float = 120.0
    checks: CheckPolicy | None = None
    sidecars: bool = True


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class SiteChoice:
    """The options of a command for its site.

    Attributes
    ----------
    config
        The settings of the daemon.
    journal
        The journal.
    rse
        The storage element on site.
    """

    config: Config = None
    journal: Annotated[
        Path | None, Parameter(name="--journal", help="The journal, in the state folder of the daemon.")
    ] = None
    rse: Annotated[str, Parameter(name="--rse", help="The storage element; by default the only one on site.")] = ""

    def opened(self, archive: Archive, quarantine: Path | None = None) -> OnSite:
        """Connect to the archive; options and a given `quarantine` override the settings."""
        if self.config is None:
            return OnSite(bdms=archive.connect(quarantine), rse=self.rse, journal=self.journal)
        from ctao_bdms.daemon.config import settings_from

        settings = settings_from(self.config, os.environ)
        is_named = archive != attrs.evolve(DEFAULT_ARCHIVE, as_json=archive.as_json, policy=archive.policy)
        policy = policy_file(archive.policy) or settings.policy.file
        folder = quarantine or settings.quarantine
        return OnSite(
            bdms=archive.connect(folder)
            if is_named
            else connect(settings.rucio.config, policy=policy, quarantine=folder),
            rse=self.rse or settings.storage.rse,
            journal=self.journal or (settings.journal if settings.journal.exists() else None),
            lease=settings.lease,
            lease_silent_s=settings.state.lease_silent_s,
            checks=settings.checks.policy,
            sidecars=settings.inbox.sidecars,
        )


#: The default without options.
DEFAULT_SITE = SiteChoice()
