"""Ingest the incomplete files of a night again, by hand, while no daemon runs."""

from __future__ import annotations

import datetime as dt
import fnmatch
import itertools
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.archive import Bdms
from ctao_bdms.daemon.connection import Connection
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.inbox import Sighting, survey
from ctao_bdms.ingest import IngestReport, Outcome, onsite_rse
from ctao_bdms.ingest.record import record
from ctao_bdms.journal import FileState, Journal
from ctao_bdms.model import Night, Rse, Site
from ctao_bdms.naming import DEFAULT_VO, blocks_pattern, scope_of
from ctao_bdms.nights import NightReport
from ctao_bdms.processes import process_name
from ctao_bdms.replication import BlockStates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.ingest import CheckPolicy
    from ctao_bdms.model import Did

__all__ = ["ReplayReport", "replay", "replayable_files"]

#: Number of files that are read before they are registered: after an interruption, at most these are read again.
_CHUNK = 500
_AT_ONCE = dt.timedelta()


@attrs.frozen(kw_only=True)
class ReplayReport:
    """The result of a replay.

    Attributes
    ----------
    before, after
        The state of the night before and after the replay.
    report
        The outcome of each file.
    blocks
        The state of the replication of the night's blocks.
    """

    before: NightReport
    report: IngestReport
    blocks: BlockStates
    after: NightReport


def replayable_files(report: NightReport, pattern: str = "") -> list[Path]:
    """Return the incomplete files of a night that still have a trigger.

    Parameters
    ----------
    pattern
        Only paths that match it, with ``*``, ``?`` and ``[...]``.
    """
    return [
        file.path for file in report.open if file.has_trigger and fnmatch.fnmatchcase(str(file.path), pattern or "*")
    ]


def replay(
    bdms: Bdms,
    night: Night,
    *,
    rse: str = "",
    scope: str = "",
    pattern: str = "",
    lease: Path | None = None,
    lease_silent_s: float = 120.0,
    journal: Path | None = None,
    checks: CheckPolicy | None = None,
    sidecars: bool = True,
    jobs: int = 2,
    on_bytes: Callable[[int], None] = lambda _: None,
    on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
) -> ReplayReport:
    """Ingest the incomplete files of a night again, and create missing rules.

    It is safe to repeat. Files without a trigger are skipped: their producer has not declared them complete.

    Parameters
    ----------
    rse, scope
        By default the only storage element on site, and all scopes.
    pattern
        Only paths that match it, with ``*``, ``?`` and ``[...]``.
    lease
        The folder of the daemon's lease, which the replay holds; by default beside the storage root.
    lease_silent_s
        The time in seconds after which a silent holder is replaced.
    journal
        The journal of the daemon, which is updated; None for no journal.
    jobs
        The number of files that are read in parallel.
    on_bytes
        Called with the size of each piece that is read.
    on_rule
        Called with the block and the RSE expression of each new rule.

    Raises
    ------
    LeaseHeldError
        If a daemon is running: it ingests the same files by itself.
    """
    storage = onsite_rse(bdms.catalogue.rses(), rse)
    with ExitStack() as stack:
        held = stack.enter_context(Lease.claim(lease or Path(f"{storage.prefix}.lease"), silent_after_s=lease_silent_s))
        book = None if journal is None else stack.enter_context(_opened(journal, bdms, held))
        fenced = bdms.through(Connection(lambda: bdms.catalogue, held.check))
        before = fenced.nights.report(night, rse=storage.name, scope=scope, journal=book)
        night_replay = _Replay(fenced, storage, book, held)
        paths = replayable_files(before, pattern)
        outcomes = night_replay.ingest(paths, checks, on_bytes, sidecars=sidecars, jobs=jobs)
        archived = [file.lfn for file in (*before.files, *outcomes) if file.is_archived and file.lfn is not None]
        scopes = sorted({scope_of(lfn.text) for lfn in archived})
        blocks = _rules(fenced, scopes, Site(storage.site), night, on_rule)
        night_replay.note_copies(blocks)
        after = fenced.nights.report(night, rse=storage.name, scope=scope, journal=book)
    return ReplayReport(before=before, report=IngestReport(outcomes), blocks=blocks, after=after)


def _opened(journal: Path, bdms: Bdms, lease: Lease) -> Journal:
    """Open the daemon's journal for writing under our lease."""
    return Journal(journal, by=process_name("replay"), now=bdms.replication.now, fence=lease.token)


@attrs.frozen
class _Replay:
    """Ingest files under the lease, and record the outcomes in the journal."""

    bdms: Bdms
    storage: Rse
    journal: Journal | None
    lease: Lease

    def ingest(
        self,
        paths: Iterable[Path],
        checks: CheckPolicy | None,
        on_bytes: Callable[[int], None],
        *,
        sidecars: bool,
        jobs: int,
    ) -> list[Outcome]:
        """Ingest the files in chunks."""
        beat = _beating(self.lease)

        def read(count: int) -> None:
            beat()
            on_bytes(count)

        outcomes: list[Outcome] = []
        rest = iter(paths)
        while chunk := list(itertools.islice(rest, _CHUNK)):
            if self.journal is not None:
                root = Path(os.path.realpath(self.storage.prefix))
                self.journal.observe(Sighting.of(file) for file in survey(chunk, root))
            done: list[Outcome] = []
            try:
                self.bdms.ingest(
                    chunk,
                    rse=self.storage.name,
                    checks=checks,
                    sidecars=sidecars,
                    jobs=jobs,
                    on_bytes=read,
                    on_outcome=done.append,
                )
            finally:
                if self.journal is not None:
                    record(self.journal, done)
                outcomes += done
            beat()
        return outcomes

    def note_copies(self, blocks: BlockStates) -> None:
        """Mark files with all copies as replicated in the journal."""
        if self.journal is None:
            return
        for state in blocks:
            if state.is_complete or state.has_stalled:
                _note_copies(self.journal, self.bdms, state.did)


def _beating(lease: Lease) -> Callable[[], None]:
    """Return a thread-safe heartbeat of the lease."""
    lock = threading.Lock()

    def beat() -> None:
        with lock:
            lease.beat()

    return beat


def _note_copies(journal: Journal, bdms: Bdms, block: Did) -> None:
    """Mark the files of a block that have all copies as replicated in the journal."""
    paths = {entry.lfn: entry.path for entry in journal.entries(block=block, state=FileState.REGISTERED) if entry.lfn}
    journal.replicated(paths[lfn] for lfn in bdms.replication.copied(block, paths))


def _rules(
    bdms: Bdms, scopes: Iterable[str], site: Site, night: Night, on_rule: Callable[[Did, str], None]
) -> BlockStates:
    """Close our open blocks of a night, and create missing rules.

    Under the lease, no other process adds files to an open block.
    """
    return BlockStates(
        state
        for scope in scopes
        for state in bdms.replication.reconcile(
            scope,
            blocks_pattern(DEFAULT_VO, scope, site, night),
            abandoned_after=_AT_ONCE,
            of_account=bdms.catalogue.account(),
            on_rule=on_rule,
        )
    )
