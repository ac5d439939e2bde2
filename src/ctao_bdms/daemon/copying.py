"""From the archive to the centres: blocks are closed, get their rules, and are followed until all copies are there.

To make the rule of a block takes the server seconds. That is asked in a thread of its own, with a connection of its
own, so that files go on being read and registered meanwhile; the journal is written by the loop alone.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import deque
from typing import TYPE_CHECKING, ClassVar

from ctao_bdms import replication
from ctao_bdms.ingest.causes import Cause
from ctao_bdms.ingest.journal import FileState
from ctao_bdms.naming import BlockName, blocks_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor, Future

    from ctao_bdms.daemon.metrics import Metrics
    from ctao_bdms.ingest.journal import Journal
    from ctao_bdms.ingest.registrar import Registrar
    from ctao_bdms.model import Did
    from ctao_bdms.replication import Replicating

__all__ = ["Copying"]

_log = logging.getLogger(__name__)

#: How often it is asked which rules were fulfilled, while copies are on their way, in seconds.
_FOLLOW_S = 1.0


class Copying:
    """Sees to the copies.

    Parameters
    ----------
    catalogue
        The archive; no other thread may use this connection.
    journal
        The journal.
    registrar
        Returns what registers files; None as long as there is none.
    interval_s
        The time after which the rules of all blocks that are not complete are looked at again, in seconds.
    metrics
        What is counted.
    now, monotonic
        The clocks (aware; seconds).
    aside
        One thread that asks the server while the loop goes on; by default the loop waits for the answers.
    wake
        Called, in that thread, when the server has done what was asked.
    """

    name: ClassVar[str] = "copying"
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.CATALOGUE, Cause.CREDENTIALS, Cause.MACHINE, Cause.JOURNAL})

    def __init__(
        self,
        catalogue: Replicating,
        journal: Journal,
        registrar: Callable[[], Registrar | None],
        *,
        interval_s: float,
        metrics: Metrics,
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
        aside: Executor | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._catalogue = catalogue
        self._journal = journal
        self._registrar = registrar
        self._aside = aside
        self._wake = wake
        self._metrics = metrics
        self._now = now
        self._monotonic = monotonic
        self._patterns: tuple[tuple[str, str], ...] = ()
        self._complete: deque[Did] = deque()
        self._follower = replication.Follower(
            catalogue,
            now=now,
            everything=lambda: self._patterns,
            everything_after=dt.timedelta(seconds=interval_s),
            on_rule=self._on_rule,
            on_complete=self._complete.extend,
        )
        self._asked: Future[None] | None = None
        self._next_s = monotonic()

    def due_in_s(self) -> float:
        """Return the time until the next look; while the server is asked, `wake` says when it is time."""
        if self._asked is None:
            return self._next_s - self._monotonic()
        return 0.0 if self._asked.done() else float("inf")

    def step(self, *, probe: bool) -> None:
        """Close what is due, and have made what rules are missing; a probe waits for the answer."""
        if self._asked is not None:
            self._answered()
            if self._next_s > self._monotonic() and not probe:
                return
        registrar = self._registrar()
        closed = () if registrar is None else registrar.close()
        follow = self._journal.tallies()[FileState.REGISTERED].files > 0
        if follow and self._follower.is_everything_due:
            self._patterns = tuple(self._pending())
        if closed or follow:
            self._begin(closed, follow=follow)
            if probe and self._asked is not None:
                self._answered()
        self._next_s = self._monotonic() + _FOLLOW_S

    def close_all(self) -> None:
        """Close all blocks, as at the end of the process, and make their first rules."""
        if self._asked is not None:
            self._answered()
        registrar = self._registrar()
        if registrar is not None:
            self._ask(registrar.close(everything=True), follow=False)

    def _begin(self, closed: tuple[Did, ...], *, follow: bool) -> None:
        """Have the server asked."""
        if self._aside is not None:
            self._asked = self._aside.submit(self._ask, closed, follow=follow)
            self._asked.add_done_callback(lambda _: self._wake())
            return
        try:
            self._ask(closed, follow=follow)
        finally:
            self._write()

    def _ask(self, closed: tuple[Did, ...], *, follow: bool) -> None:
        """Make the first rules of `closed`, and those whose time has come of the others.

        If this is interrupted, the next look at everything finds blocks that have no rules.
        """
        replication.begin(self._catalogue, closed, self._on_rule)
        if follow:
            self._follower.step()

    def _answered(self) -> None:
        """Wait for what the server was asked, and take note of what it said."""
        asked, self._asked = self._asked, None
        try:
            if asked is not None:
                asked.result()
        finally:
            self._write()

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

    def _write(self) -> None:
        """Take note in the journal that all copies of blocks are there."""
        now = self._now()
        while self._complete:
            block = self._complete[0]
            lags_s = [
                ((now - (entry.triggered or entry.found or now)).total_seconds(), entry.size_bytes or 0)
                for entry in self._journal.entries(block=block, state=FileState.REGISTERED)
            ]
            self._journal.replicated([block])
            self._complete.popleft()
            for lag_s, size_bytes in lags_s:
                self._metrics.replicated(size_bytes=size_bytes, lag_s=lag_s)
            _log.info("all copies are there: %s", block, extra={"block": str(block)})
