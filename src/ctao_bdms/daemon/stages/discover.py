"""Discover new files: from the inbox and the quarantine's log into the journal."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from ctao_bdms.causes import Cause
from ctao_bdms.daemon.stages.isolation import isolate_failures
from ctao_bdms.inbox.triggers import data_of
from ctao_bdms.journal import FileState
from ctao_bdms.quarantine.actions import entered_since

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence
    from pathlib import Path

    from ctao_bdms.daemon.context import StageContext
    from ctao_bdms.inbox.sightings import Sighting
    from ctao_bdms.inbox.watch import Watch
    from ctao_bdms.journal import Entry

__all__ = ["DiscoverStage"]

#: The period of the comparison of found files with existing triggers, in seconds; and the number of files in one step.
_COMPARE_S, _PORTION = 600.0, 1000

_OPEN = {FileState.FOUND, FileState.SCANNED}

_log = logging.getLogger(__name__)


class DiscoverStage:
    """Poll the inbox, and write new files into the journal.

    Parameters
    ----------
    busy
        Returns the triggers of files that are being registered. Their changes are written when their outcome is known.
    """

    name: ClassVar[str] = "discover"
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.STORAGE, Cause.MACHINE, Cause.JOURNAL})

    def __init__(
        self,
        context: StageContext,
        watch: Watch,
        *,
        busy: Callable[[], Container[Path]],
    ) -> None:
        self.watch = watch
        self._context = context
        self._journal = context.journal
        self._metrics = context.metrics
        self._monotonic = context.clocks.monotonic
        self._quarantine = context.settings().quarantine
        self._read_bytes = 0
        self._unread = ""
        self._busy = busy
        self._linked: dict[Path, Path] = {}
        self._others: dict[Path, Path] = {}
        self._left: Iterator[Entry] | None = None
        self._compare_s = float("-inf")
        self._unwritten: dict[Path, Sighting | None] = {}
        self._next_s = self._monotonic()

    def due_in_s(self) -> float:
        """Return the time until the next poll, in seconds."""
        return self._next_s - self._monotonic()

    def step(self, *, probe: bool) -> None:
        """Poll once."""
        begin_s = self._monotonic()
        poll = self.watch.poll()
        self._metrics.polled(self._monotonic() - begin_s)
        # Only the last change of a trigger counts: one that was removed and created again is not gone.
        self._unwritten.update(dict.fromkeys(poll.gone))
        self._unwritten.update((seen.trigger, seen) for seen in poll.found if seen.trigger is not None)
        busy = self._busy()
        ready = {trigger: seen for trigger, seen in self._unwritten.items() if trigger not in busy}
        found = [seen for seen in ready.values() if seen is not None]
        n_new = n_again = 0

        def observe(some: Sequence[Sighting]) -> None:
            nonlocal n_new, n_again
            observed = self._journal.observe(some)
            n_new, n_again = n_new + observed.new, n_again + observed.again

        for seen, error in isolate_failures(observe, found):
            assert seen.trigger is not None
            self.watch.hold(seen.trigger, error)
            del ready[seen.trigger]
        linked = set(self._linked.values())
        gone = [trigger for trigger, seen in ready.items() if seen is None]
        self._journal.withdrawn([path for trigger in gone if (path := self._withdrawn(trigger, linked)) is not None])
        for trigger in gone:  # only after the write: if it fails, the next step needs these links again
            self._linked.pop(trigger, None)
            self._others.pop(trigger, None)
        self._remember_links(seen for seen in ready.values() if seen is not None)
        # The watch reports each change once, so sightings that were not written are kept for the next step.
        self._unwritten = {trigger: seen for trigger, seen in self._unwritten.items() if trigger in busy}
        if n_new or n_again:
            _log.info("%d new files, %d again", n_new, n_again)
        self._learn()
        self._compare(busy)
        self._next_s = begin_s if poll.more else begin_s + self._context.settings().inbox.poll_interval_s

    def _withdrawn(self, trigger: Path, linked: Container[Path]) -> Path | None:
        """Return the file of a removed trigger; None if it has another trigger."""
        path = self._linked.get(trigger, data_of(trigger))
        if path == data_of(trigger) and path not in linked:
            return path
        entry = self._journal.entry(path)
        return path if entry is not None and entry.trigger == trigger else None

    def _remember_links(self, found: Iterable[Sighting]) -> None:
        """Remember triggers of links, since several of them may announce the same file.

        The journal knows one trigger for each file. The others are checked again when the file is done.
        """
        triggers = {seen.trigger: seen for seen in found if seen.trigger is not None}
        self._linked.update((trigger, seen.path) for trigger, seen in triggers.items() if seen.path != data_of(trigger))
        linked = set(self._linked.values())
        for trigger, seen in triggers.items():
            if seen.path not in linked:
                continue
            entry = self._journal.entry(seen.path)
            if entry is not None and entry.trigger != trigger and entry.state in _OPEN:
                self._others[trigger] = seen.path
        for trigger, path in list(self._others.items()):
            entry = self._journal.entry(path)
            if entry is None or entry.state not in _OPEN:
                del self._others[trigger]
                self.watch.look_again(trigger)

    def _compare(self, busy: Container[Path]) -> None:
        """Withdraw found files whose triggers were removed unnoticed.

        Each step compares a part of the journal. Scanned files are left out: their trigger may be gone because they are
        in the archive. The register stage finds out.
        """
        if self._left is None and self._monotonic() >= self._compare_s:
            self._left = self._journal.entries(state=FileState.FOUND)
            self._compare_s = self._monotonic() + _COMPARE_S
        if self._left is None:
            return
        triggers = {entry.trigger: entry.path for entry in islice(self._left, _PORTION) if entry.trigger is not None}
        if not triggers:
            self._left = None
        self._journal.withdrawn(triggers[gone] for gone in self.watch.lacks(triggers) if gone not in busy)

    def _learn(self) -> None:
        """Mark files as registered that a command has ingested from quarantine."""
        try:
            entered, read_bytes = entered_since(self._quarantine, self._read_bytes)
        except OSError as error:  # perhaps another user owns the log: the inbox must still be polled
            if str(error) != self._unread:
                _log.warning("what commands have ingested from quarantine stays unknown: %s", error)
            self._unread = str(error)
            return
        self._unread = ""
        for file in entered:
            entry = self._journal.entry(file.path)
            if entry is None or entry.state is not FileState.QUARANTINED:
                continue
            events = self._journal.events(file.path)
            if all(event.time <= file.when for event in events if event.event == FileState.QUARANTINED):
                self._journal.registered([file.path], file.block)
                _log.info("%s was ingested from quarantine", file.path, extra={"file_id": str(file.path)})
        self._read_bytes = read_bytes
