"""Ingest files from on-site storage within one call: find, read, plan, carry out."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.blocks import ClosingCatalogue
from ctao_bdms.inbox import LocalFile, survey
from ctao_bdms.ingest.carry_out import BeginRules, carry_out
from ctao_bdms.ingest.checks import CheckPolicy
from ctao_bdms.ingest.open_blocks import BlockLimits, FirstRuleOf, RetentionOf
from ctao_bdms.ingest.plan import Plan, plan
from ctao_bdms.ingest.read import read_all
from ctao_bdms.model import FileFacts, Rse, Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.ingest.report import IngestReport, Outcome
    from ctao_bdms.quarantine import Quarantine

__all__ = ["SiteIngest"]


@attrs.frozen(kw_only=True)
class SiteIngest:
    """An ingest of files from one on-site storage element.

    Attributes
    ----------
    now
        The clock (aware).
    retention_of, first_rule
        The retention class of a product, and the first rule of a block, by the policy.
    begin_rules
        Adds the next rules of blocks that were just closed.
    checks
        The severity of each check.
    sidecars
        Whether sidecar files are compared.
    jobs
        Number of files that are read at the same time.
    on_scanned, on_bytes
        Called after each file, and after each piece of a file with its size.
    """

    catalogue: ClosingCatalogue
    storage: Rse
    now: Callable[[], dt.datetime]
    retention_of: RetentionOf
    first_rule: FirstRuleOf
    begin_rules: BeginRules
    limits: BlockLimits
    checks: CheckPolicy
    sidecars: bool
    jobs: int
    on_scanned: Callable[[LocalFile, FileFacts | None], None]
    on_bytes: Callable[[int], None]

    def find(self, paths: Sequence[Path]) -> list[LocalFile]:
        """Return the files at `paths`, and those with triggers below folders in `paths`."""
        return survey(paths, Path(self.storage.prefix))

    def read(self, files: Sequence[LocalFile]) -> list[Described]:
        """Read and describe files."""
        return read_all(
            files,
            self.checks,
            sidecars=self.sidecars,
            jobs=self.jobs,
            on_scanned=self.on_scanned,
            on_bytes=self.on_bytes,
        )

    def plan(self, items: Sequence[Described]) -> Plan:
        """Return the plan for files that were read."""
        return plan(
            items,
            self.catalogue.files(item.file.lfn for item in items if item.file.lfn is not None),
            rse=self.storage.name,
            site=Site(self.storage.site),
            now=self.now(),
            token=lambda: secrets.token_hex(4),
            limits=self.limits,
            retention_of=self.retention_of,
        )

    def register(
        self,
        items: Sequence[Described],
        quarantine: Quarantine,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> IngestReport:
        """Register the good files, and move the bad ones to `quarantine`."""
        return carry_out(
            self.plan(items),
            items,
            self.catalogue,
            quarantine=quarantine,
            now=self.now,
            first_rule=self.first_rule,
            begin_rules=self.begin_rules,
            on_outcome=on_outcome,
        )
