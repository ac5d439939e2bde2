"""Replicate blocks: close them, create their rules, and follow their transfers.

The server needs seconds to create the rule of a block. So a separate thread with its own connection does this while
files are scanned and registered. Only the loop writes the journal.

A complete block may become incomplete again, for example when a data centre is lost or a rule is removed. So the nights
are reviewed one after the other, whatever the journal says of them.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms import replication
from ctao_bdms.causes import Cause
from ctao_bdms.journal import FileState, Waiting
from ctao_bdms.model import Night, Site
from ctao_bdms.naming import DEFAULT_VO, BlockName, blocks_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor, Future
    from pathlib import Path
    from typing import Self

    from ctao_bdms.daemon.config import Settings
    from ctao_bdms.daemon.context import StageContext
    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.model import Did, Lfn
    from ctao_bdms.replication import Action

__all__ = ["STUCK", "ReplicateStage", "Review"]

_log = logging.getLogger(__name__)

#: The cause of a registered file without all copies in a block whose other files have theirs.
STUCK = "stuck"

#: The period of the check for fulfilled rules while transfers are pending, in seconds.
_FOLLOW_S = 1.0


class Close(Protocol):
    """Close due blocks, or all; return the closed blocks that need rules."""

    def __call__(self, *, everything: bool = False) -> tuple[Did, ...]: ...


@attrs.frozen(kw_only=True)
class Review:
    """The schedule of the review: one night after the other, back from today.

    Only the clock determines the night, so a restarted daemon continues where the last one stopped.

    Attributes
    ----------
    interval_s
        The time between two nights, in seconds.
    days
        The number of nights, back from today.
    """

    site: Site
    interval_s: float
    days: int

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the schedule of the settings; None if no night is reviewed."""
        terms = settings.replication
        if not terms.review_days:
            return None
        return cls(site=settings.storage.site, interval_s=terms.review_interval_s, days=terms.review_days)

    def turn(self, now: dt.datetime) -> int:
        """Return the number of the current review."""
        return int(now.timestamp() // self.interval_s)

    def night(self, now: dt.datetime) -> Night:
        """Return the night that is reviewed at a time.

        Examples
        --------
        >>> now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
        >>> review = Review(site=Site.NORTH, interval_s=60.0, days=3)
        >>> [str(review.night(now + dt.timedelta(minutes=minute))) for minute in range(4)]
        ['2026-11-22', '2026-11-21', '2026-11-20', '2026-11-22']
        """
        return Night(now.date() - dt.timedelta(days=self.turn(now) % self.days))


class ReplicateStage:
    """Close blocks, create their rules, and mark their files as replicated.

    Parameters
    ----------
    rules
        Has its own connection: no other thread may use it.
    executor
        One thread for requests to the server.
    """

    name: ClassVar[str] = "replicate"
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.CATALOGUE, Cause.CREDENTIALS, Cause.MACHINE, Cause.JOURNAL})

    def __init__(
        self,
        context: StageContext,
        rules: replication.Replication,
        close: Close,
        *,
        executor: Executor,
    ) -> None:
        settings = context.settings()
        self._context = context
        self._journal = context.journal
        self._metrics = context.metrics
        self._now, self._monotonic = context.clocks.now, context.clocks.monotonic
        self._replication = rules
        self._close = close
        self._executor = executor
        self._review = Review.of(settings)
        self._reviewed: int | None = None
        self._patterns: tuple[tuple[str, str], ...] = ()
        self._finished: deque[Did] = deque()
        self._unchecked: dict[Did, dict[Lfn, Path]] = {}
        self._checked: deque[tuple[Did, set[Lfn]]] = deque()
        self._follower = replication.Follower(
            rules,
            everything=self._everything,
            everything_after=dt.timedelta(seconds=settings.replication.reconcile_interval_s),
            on_rule=self._on_rule,
            on_refused=self._on_refused,
            on_complete=self._finished.extend,
            on_stalled=self._finished.extend,
        )
        self._request: Future[None] | None = None
        self._next_s = self._monotonic()

    def due_in_s(self) -> float:
        """Return the time until the next check; during a request, `wake` ends the wait."""
        if self._request is None:
            return self._next_s - self._monotonic()
        return 0.0 if self._request.done() else float("inf")

    def step(self, *, probe: bool) -> None:
        """Close due blocks, and request their missing rules; a probe waits for the answer."""
        if self._request is not None:
            self._finish_request()
            if self._next_s > self._monotonic() and not probe:
                return
        closed = self._close()
        follow = self._journal.tallies()[FileState.REGISTERED].files > 0
        if self._follower.is_everything_due:
            follow = follow or self._is_review_due
            self._patterns = tuple(self._pending()) if follow else ()
        if closed or follow:
            self._request = self._executor.submit(self._make_rules, closed, follow=follow)
            self._request.add_done_callback(lambda _: self._context.wake.set())
            if probe or self._request.done():
                self._finish_request()
        self._next_s = self._monotonic() + _FOLLOW_S

    def close_all(self) -> None:
        """Close all blocks before the process ends, and create their first rules."""
        if self._request is not None:
            self._finish_request()
        self._make_rules(self._close(everything=True), follow=False)

    def _make_rules(self, closed: tuple[Did, ...], *, follow: bool) -> None:
        """Create the first rules of `closed`, and the due rules of other blocks.

        After an interruption, the next full check finds the blocks without rules.
        """
        self._replication.begin(closed, on_rule=self._on_rule, on_refused=self._on_refused)
        if follow:
            self._follower.step()
            for did, files in self._unchecked.items():
                self._checked.append((did, self._replication.copied(did, files)))

    def _finish_request(self) -> None:
        """Wait for the request, and write its results."""
        request, self._request = self._request, None
        try:
            if request is not None:
                request.result()
        finally:
            self._write()

    @property
    def _is_review_due(self) -> bool:
        return self._review is not None and self._review.turn(self._now()) != self._reviewed

    def _everything(self) -> Iterator[tuple[str, str]]:
        """Yield scope and pattern of pending blocks and of the reviewed night."""
        yield from self._patterns
        if self._review is not None and self._is_review_due:
            now = self._now()
            for scope in self._replication.catalogue.scopes():
                pattern = blocks_pattern(DEFAULT_VO, scope, self._review.site, self._review.night(now))
                if (scope, pattern) not in self._patterns:
                    yield scope, pattern
            self._reviewed = self._review.turn(now)

    def _pending(self) -> Iterator[tuple[str, str]]:
        """Yield scope and pattern, by night, of blocks with incomplete files."""
        for scope, site, night, vo in sorted(
            {
                (did.scope, name.site, name.night, name.vo)
                for did in self._journal.blocks(FileState.REGISTERED)
                for name in (BlockName.parse(did.name),)
            }
        ):
            yield scope, blocks_pattern(vo, scope, site, night)

    def _on_rule(self, block: Did, expression: str) -> None:
        _log.info("rule for %s on %s", expression, block, extra={"block": str(block)})

    def _on_refused(self, action: Action, error: CatalogueError) -> None:
        """Log a rejected rule; the next full check retries it."""
        where = action.rse_expression or "any place"
        _log.error("rule for %s on %s: %s", where, action.did, error, extra={"block": str(action.did)})

    def _write(self) -> None:
        """Write checked blocks into the journal, and queue finished ones for a check."""
        while self._checked:
            self._take_note(*self._checked[0])
            self._unchecked.pop(self._checked.popleft()[0], None)
        pending = set(self._journal.blocks(FileState.REGISTERED)) if self._finished else set()
        while self._finished:
            block = self._finished[0]
            if block in pending:  # the files of other blocks are replicated already
                files = self._journal.entries(block=block, state=FileState.REGISTERED)
                self._unchecked[block] = {entry.lfn: entry.path for entry in files if entry.lfn is not None}
            self._finished.popleft()

    def _take_note(self, block: Did, copied: set[Lfn]) -> None:
        """Mark the files of a block as replicated or stuck."""
        now = self._now()
        entries = list(self._journal.entries(block=block, state=FileState.REGISTERED))
        done = [entry for entry in entries if entry.lfn in copied]
        self._journal.replicated([entry.path for entry in done])
        for entry in done:
            lag_s = (now - (entry.triggered or entry.found or now)).total_seconds()
            self._metrics.replicated(size_bytes=entry.size_bytes or 0, lag_s=lag_s)
        left = [entry for entry in entries if entry.lfn not in copied and entry.cause != STUCK]
        why = f"the others of its block have all copies; to see what is wrong: bdms rules explain '{block.name}'"
        self._journal.waits(Waiting(path=entry.path, cause=STUCK, why=why) for entry in left)
        for entry in left:
            _log.error("no copies of %s: %s", entry.lfn, why, extra={"block": str(block)})
        if done:
            text = "all copies are there" if len(done) == len(entries) else f"all copies of {len(done)} files are there"
            _log.info("%s: %s", text, block, extra={"block": str(block)})
