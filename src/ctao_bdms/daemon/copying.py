"""From the archive to the centres: blocks are closed, get their rules, and are followed until all copies are there."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, ClassVar

from ctao_bdms import replication
from ctao_bdms.ingest.causes import Cause
from ctao_bdms.ingest.journal import FileState
from ctao_bdms.naming import BlockName, blocks_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        The archive.
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
    ) -> None:
        self._catalogue = catalogue
        self._journal = journal
        self._registrar = registrar
        self._metrics = metrics
        self._now = now
        self._monotonic = monotonic
        self._follower = replication.Follower(
            catalogue,
            now=now,
            everything=self._pending,
            everything_after=dt.timedelta(seconds=interval_s),
            on_rule=self._on_rule,
            on_complete=self._on_complete,
        )
        self._next_s = monotonic()

    def due_in_s(self) -> float:
        """Return the time until the next look."""
        return self._next_s - self._monotonic()

    def step(self, *, probe: bool) -> None:
        """Close what is due, and follow what is on its way."""
        self._close(everything=False)
        if self._journal.tallies()[FileState.REGISTERED].files:
            self._follower.step()
        self._next_s = self._monotonic() + _FOLLOW_S

    def close_all(self) -> None:
        """Close all blocks, as at the end of the process, and make their first rules."""
        self._close(everything=True)

    def _close(self, *, everything: bool) -> None:
        registrar = self._registrar()
        if registrar is not None:
            # If this is interrupted, the next look at everything finds blocks that have no rules.
            replication.begin(self._catalogue, registrar.close(everything=everything), self._on_rule)

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

    def _on_complete(self, blocks: tuple[Did, ...]) -> None:
        """Take note that all copies of blocks are there."""
        now = self._now()
        for block in blocks:
            for entry in self._journal.entries(block=block, state=FileState.REGISTERED):
                lag_s = (now - (entry.triggered or entry.found or now)).total_seconds()
                self._metrics.replicated(size_bytes=entry.size_bytes or 0, lag_s=lag_s)
            _log.info("all copies are there: %s", block, extra={"block": str(block)})
        self._journal.replicated(blocks)
