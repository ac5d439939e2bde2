"""From the archive to the centres: blocks are closed, get their rules, and are followed until all copies are there.

To make the rule of a block takes the server seconds. That is asked in a thread of its own, with a connection of its
own, so that files go on being read and registered meanwhile; the journal is written by the loop alone.

A block that is complete may lack something again: a centre was lost, a rule was ended. So night after night is
reviewed, one at a time, whatever the journal says of it.
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

#: What a file waits for that is registered, and whose copies do not come though those of its neighbours have.
STUCK = "stuck"

#: How often it is asked which rules were fulfilled, while copies are on their way, in seconds.
_FOLLOW_S = 1.0


class Close(Protocol):
    """Closes the blocks whose time has come, or everything; returns those that were closed and need rules."""

    def __call__(self, *, everything: bool = False) -> tuple[Did, ...]: ...


@attrs.frozen(kw_only=True)
class Review:
    """Which night is reviewed when: one after another back from today, then from today again.

    The clock alone says which: a daemon that starts anew goes on where the last one was.

    Attributes
    ----------
    site
        The site whose nights are reviewed.
    interval_s
        The time between two nights, in seconds.
    days
        How many nights, back from today.
    """

    site: Site
    interval_s: float
    days: int

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return what the settings say; None if no night is reviewed."""
        terms = settings.replication
        if not terms.review_days:
            return None
        return cls(site=settings.storage.site, interval_s=terms.review_interval_s, days=terms.review_days)

    def turn(self, now: dt.datetime) -> int:
        """Return the number of the turn that it is."""
        return int(now.timestamp() // self.interval_s)

    def night(self, now: dt.datetime) -> Night:
        """Return the night whose turn it is.

        Examples
        --------
        >>> now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
        >>> review = Review(site=Site.NORTH, interval_s=60.0, days=3)
        >>> [str(review.night(now + dt.timedelta(minutes=minute))) for minute in range(4)]
        ['2026-11-22', '2026-11-21', '2026-11-20', '2026-11-22']
        """
        return Night(now.date() - dt.timedelta(days=self.turn(now) % self.days))


class ReplicateStage:
    """Sees to the copies.

    Parameters
    ----------
    rules
        The rules of the archive; no other thread may use its connection.
    close
        Closes the blocks whose time has come, or everything; returns those that were closed and need rules.
    executor
        One thread in which the server is asked while the loop goes on.
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
        """Return the time until the next look; while the server is asked, `wake` says when it is time."""
        if self._request is None:
            return self._next_s - self._monotonic()
        return 0.0 if self._request.done() else float("inf")

    def step(self, *, probe: bool) -> None:
        """Close what is due, and have made what rules are missing; a probe waits for the answer."""
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
        """Close all blocks, as at the end of the process, and make their first rules."""
        if self._request is not None:
            self._finish_request()
        self._make_rules(self._close(everything=True), follow=False)

    def _make_rules(self, closed: tuple[Did, ...], *, follow: bool) -> None:
        """Make the first rules of `closed`, and those whose time has come of the others.

        If this is interrupted, the next look at everything finds blocks that have no rules.
        """
        self._replication.begin(closed, on_rule=self._on_rule, on_refused=self._on_refused)
        if follow:
            self._follower.step()
            for did, files in self._unchecked.items():
                self._checked.append((did, self._replication.copied(did, files)))

    def _finish_request(self) -> None:
        """Wait for what the server was asked, and take note of what it said."""
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
        """Yield scope and pattern of the blocks that are looked at: those that are pending, and the night reviewed."""
        yield from self._patterns
        if self._review is not None and self._is_review_due:
            now = self._now()
            for scope in self._replication.catalogue.scopes():
                pattern = blocks_pattern(DEFAULT_VO, scope, self._review.site, self._review.night(now))
                if (scope, pattern) not in self._patterns:
                    yield scope, pattern
            self._reviewed = self._review.turn(now)

    def _pending(self) -> Iterator[tuple[str, str]]:
        """Yield scope and pattern of the blocks, by night, that hold files whose copies are not complete."""
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
        """Say what could not be done about one rule; the next look at everything tries it again."""
        where = action.rse_expression or "any place"
        _log.error("rule for %s on %s: %s", where, action.did, error, extra={"block": str(action.did)})

    def _write(self) -> None:
        """Take note in the journal of which files all copies are there, and have the others asked for that may be."""
        while self._checked:
            self._take_note(*self._checked[0])
            self._unchecked.pop(self._checked.popleft()[0], None)
        pending = set(self._journal.blocks(FileState.REGISTERED)) if self._finished else set()
        while self._finished:
            block = self._finished[0]
            if block in pending:  # of the others it is known already
                files = self._journal.entries(block=block, state=FileState.REGISTERED)
                self._unchecked[block] = {entry.lfn: entry.path for entry in files if entry.lfn is not None}
            self._finished.popleft()

    def _take_note(self, block: Did, copied: set[Lfn]) -> None:
        """Take note in the journal which files of a block have all copies, and that the others are stuck."""
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
