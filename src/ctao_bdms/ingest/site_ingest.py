"""Ingest files from on-site storage within one call: find, read, plan, carry out."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.blocks import ClosingCatalogue
from ctao_bdms.inbox import LocalFile, survey
from ctao_bdms.ingest.carry_out import BeginRules, carry_out
from ctao_bdms.ingest.describe import Described
from ctao_bdms.ingest.open_blocks import BlockPolicy
from ctao_bdms.ingest.plan import Plan, plan
from ctao_bdms.model import Rse, Site

if TYPE_CHECKING:
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
    blocks
        How blocks are filled and kept.
    begin_rules
        Adds the next rules of blocks that were just closed.
    read
        Reads and describes files, as `ctao_bdms.ingest.read_all`.
    """

    catalogue: ClosingCatalogue
    storage: Rse
    now: Callable[[], dt.datetime]
    blocks: BlockPolicy
    begin_rules: BeginRules
    read: Callable[[Sequence[LocalFile]], list[Described]]

    def find(self, paths: Sequence[Path]) -> list[LocalFile]:
        """Return the files at `paths`, and those with triggers below folders in `paths`."""
        return survey(paths, Path(self.storage.prefix))

    def plan(self, items: Sequence[Described]) -> Plan:
        """Return the plan for files that were read."""
        return plan(
            items,
            self.catalogue.files(item.file.lfn for item in items if item.file.lfn is not None),
            rse=self.storage.name,
            site=Site(self.storage.site),
            now=self.now(),
            token=lambda: secrets.token_hex(4),
            limits=self.blocks.limits,
            retention_of=self.blocks.retention_of,
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
            first_rule=self.blocks.first_rule,
            begin_rules=self.begin_rules,
            on_outcome=on_outcome,
        )
