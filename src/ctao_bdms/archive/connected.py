"""The state shared by all methods of the archive: catalogue, replication, folders."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms import ingest
from ctao_bdms.access import Health
from ctao_bdms.catalogue import Catalogue
from ctao_bdms.naming import DEFAULT_VO, blocks_pattern
from ctao_bdms.processes import PerProcess
from ctao_bdms.replication import Replication

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence

    from ctao_bdms.inbox import LocalFile
    from ctao_bdms.model import FileFacts, Night, Rse, Site
    from ctao_bdms.quarantine import Quarantine

__all__ = ["Connected"]


@attrs.frozen(kw_only=True)
class Connected:
    """The state that all methods of the archive share; see `Bdms` for the attributes."""

    catalogue: Catalogue
    replication: Replication
    quarantine_folder: Path | None = None
    #: Which storage elements have failed of late, as far as this process knows.
    health: PerProcess[Health] = attrs.field(factory=lambda: PerProcess(Health), eq=False, repr=False)

    @property
    def now(self) -> Callable[[], dt.datetime]:
        """The clock (aware)."""
        return self.replication.now

    def scopes(self, scope: str) -> Sequence[str]:
        """Return a scope that is named, else all that hold products."""
        return (scope,) if scope else self.catalogue.scopes()

    def blocks(self, scope: str, site: Site | None, night: Night | None) -> Iterator[tuple[str, str]]:
        """Yield scopes and name patterns of blocks, by scope, site and night."""
        for each in self.scopes(scope):
            yield each, blocks_pattern(DEFAULT_VO, each, site, night)

    def onsite(self, rse: str, paths: Sequence[Path] = ()) -> Rse:
        """Return the on-site storage element that is named, or that holds `paths`."""
        return ingest.onsite_rse(self.catalogue.rses(), rse, paths)

    def quarantine(self, storage: Rse) -> Quarantine:
        """Return the quarantine of a storage element on site."""
        return ingest.quarantine_of(self.catalogue.rses(), storage, self.quarantine_folder)

    def site_ingest(
        self,
        storage: Rse,
        *,
        limits: ingest.BlockLimits | None = None,
        checks: ingest.CheckPolicy | None = None,
        sidecars: bool = True,
        jobs: int = 2,
        on_scanned: Callable[[LocalFile, FileFacts | None], None] = lambda _file, _facts: None,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> ingest.SiteIngest:
        """Return an ingest of files on `storage`; see `Bdms.ingest` for the options."""
        return ingest.SiteIngest(
            catalogue=self.catalogue,
            storage=storage,
            now=self.now,
            blocks=ingest.BlockPolicy(
                limits=limits or ingest.BlockLimits(),
                retention_of=self.replication.policy.retention_of,
                first_rule=self.replication.policy.first_rule,
            ),
            begin_rules=self.replication.begin,
            read=partial(
                ingest.read_all, policy=checks, sidecars=sidecars, jobs=jobs, on_scanned=on_scanned, on_bytes=on_bytes
            ),
        )
