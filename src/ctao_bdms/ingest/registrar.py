"""Register files over a long time, with blocks that stay open between batches.

A request that timed out may still be carried out later. So its blocks are closed before anything else is planned: a
closed block takes no more files, and then the catalogue has its final content. After a restart of the process the same
holds for all open blocks; `ctao_bdms.replication.reconcile` with the smallest ``abandoned_after`` closes them.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.blocks import ClosingCatalogue, close_block
from ctao_bdms.errors import CatalogueRejectsAllError, NotFoundError, StorageError
from ctao_bdms.ingest.batches import BatchCatalogue, Batches
from ctao_bdms.ingest.execute import execute
from ctao_bdms.ingest.open_blocks import BlockPolicy, OpenBlock
from ctao_bdms.ingest.plan import Plan, plan
from ctao_bdms.ingest.report import IngestReport, Status
from ctao_bdms.model import Did, Rse, Site
from ctao_bdms.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.ingest.report import Outcome

__all__ = ["Registrar", "RegistrarCatalogue"]

_LOG = logging.getLogger(__name__)


class RegistrarCatalogue(BatchCatalogue, ClosingCatalogue, Protocol):
    """The catalogue operations that a registrar needs."""


class Registrar:
    """Register described files, and keep track of the open blocks.

    Parameters
    ----------
    storage
        The on-site storage element of the files.
    quarantine
        The quarantine for rejected files; by default beside the storage root.
    now
        The clock (aware).
    token
        Returns eight new hexadecimal digits at each call, for the names of blocks.
    """

    def __init__(
        self,
        catalogue: RegistrarCatalogue,
        storage: Rse,
        *,
        policy: BlockPolicy | None = None,
        quarantine: Quarantine | None = None,
        batches: Batches | None = None,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        #: Registers the files; its ``size`` adapts to the server.
        self.batches = batches or Batches(catalogue)
        self._catalogue = catalogue
        self._storage = storage
        self._policy = policy or BlockPolicy()
        self._quarantine = quarantine or Quarantine.beside(Path(storage.prefix))
        self._now = now
        self._token = token
        self._open: dict[Did, OpenBlock] = {}
        self._doubtful: set[Did] = set()
        self._closed: list[Did] = []
        self._unwritten = ""

    @property
    def open_blocks(self) -> tuple[OpenBlock, ...]:
        """The blocks that are being filled."""
        return tuple(self._open.values())

    def take(self, items: Sequence[Described], on_outcome: Callable[[Outcome], None] = lambda _: None) -> IngestReport:
        """Register the good files of `items`, and quarantine the bad ones.

        Raises
        ------
        UnreachableError
            If the catalogue does not answer. `on_outcome` was called for the files that were done; it is safe to take
            the others again later.
        BlockClosedError
            If another process closed a block; taking the files again opens a new one.
        StorageError
            If the manifest of a full block cannot be written on site.
        CatalogueRejectsAllError
            If the catalogue rejects every file. The files stay where they are.
        """
        refused = self.batches.refused
        self._settle()
        made = plan(
            items,
            self._catalogue.files(item.file.lfn for item in items if item.file.lfn is not None),
            rse=self._storage.name,
            site=Site(self._storage.site),
            now=self._now(),
            token=self._token,
            limits=self._policy.limits,
            open_blocks=self.open_blocks,
            keep_open=True,
            retention_of=self._policy.retention_of,
        )
        before = {block.did: self._open.pop(block.did, OpenBlock(did=block.did)) for block in made.blocks}
        self._doubtful.update(before)
        report = execute(
            made,
            items,
            self._catalogue,
            self.batches,
            self._quarantine,
            self._now,
            on_outcome,
            first_rule=self._policy.first_rule,
        )
        self._doubtful.difference_update(before)
        self._keep(made, before, report)
        last = self.batches.last_refusal
        is_any_taken = any(outcome.status is Status.REGISTERED for outcome in report)
        if last is not None and self.batches.rejects_all and self.batches.refused > refused and not is_any_taken:
            raise CatalogueRejectsAllError(self.batches.refused, last)
        return report

    def _keep(self, made: Plan, before: dict[Did, OpenBlock], report: IngestReport) -> None:
        """Update the content of the open blocks."""
        added: dict[Did, list[int]] = {}
        for outcome in report:
            if outcome.status is Status.REGISTERED and outcome.block is not None:
                added.setdefault(outcome.block, []).append(outcome.size_bytes or 0)
        for block in made.blocks:
            was, sizes = before[block.did], added.get(block.did, [])
            now = attrs.evolve(was, n_files=was.n_files + len(sizes), size_bytes=was.size_bytes + sum(sizes))
            if block.closes:
                self._closed += [block.did] if now.n_files else []
            elif not block.opens or now.n_files:
                self._open[block.did] = now
            else:
                self._doubtful.add(block.did)  # it may have been opened, and be empty

    def close(self, *, everything: bool = False) -> tuple[Did, ...]:
        """Close full and old blocks; return all blocks closed since the last call.

        A block whose manifest cannot be written is logged, stays open, and is tried again at the next call: full
        on-site storage must not keep other blocks from being replicated.

        Parameters
        ----------
        everything
            Close all blocks, as at the end of the process.

        Raises
        ------
        UnreachableError
            If the catalogue does not answer; the blocks are closed by the next call.
        """
        now = self._now()
        due = [did for did, block in self._open.items() if everything or self._policy.closes(block, now)]
        try:
            for did in due:
                close_block(self._catalogue, did)
                del self._open[did]
                self._closed.append(did)
            self._settle()
        except StorageError as error:
            if str(error) != self._unwritten:
                _LOG.error("a block stays open: %s", error)
            self._unwritten = str(error)
        else:
            self._unwritten = ""
        closed, self._closed = tuple(self._closed), []
        return closed

    def _settle(self) -> None:
        """Close the blocks whose content is unknown after a failed request."""
        for did in sorted(self._doubtful):
            try:
                close_block(self._catalogue, did)
            except NotFoundError:  # it was never opened
                self._doubtful.discard(did)
                continue
            self._closed += [block.did for block in self._catalogue.blocks(did.scope, did.name) if block.n_files]
            self._doubtful.discard(did)
