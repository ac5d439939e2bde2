"""How copies are kept: their rules, what became of a night, and the proof that each is sound."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms import nights, preservation, replication
from ctao_bdms.facade.connected import DEFAULT_VO, Connected, names_of
from ctao_bdms.model import Lfn, Night, Site
from ctao_bdms.naming import blocks_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.ingest.journal import JournalReader
    from ctao_bdms.model import Did

__all__ = ["Keeping"]


class Keeping(Connected):
    """How copies are kept."""

    def reconcile(
        self,
        scope: str,
        *,
        site: Site | None = None,
        night: Night | None = None,
        on_rule: Callable[[Did, str], None] = lambda _did, _expression: None,
    ) -> replication.BlockStates:
        """Give blocks the rules that they lack and whose time has come; return how far each is.

        Parameters
        ----------
        scope
            The scope of the blocks.
        site, night
            Only the blocks of this site, and of this night of it.
        on_rule
            Called with block and RSE expression for each rule that is made.
        """
        pattern = blocks_pattern(DEFAULT_VO, scope, site, night)
        return replication.reconcile(self.catalogue, scope, pattern, now=self.now, policy=self.policy, on_rule=on_rule)

    def replication(
        self, scope: str, *, site: Site | None = None, night: Night | None = None
    ) -> replication.BlockStates:
        """Return how far the replication of each closed block is; nothing is changed."""
        return replication.look(self.catalogue, scope, blocks_pattern(DEFAULT_VO, scope, site, night), self.policy)

    def night(
        self,
        night: Night | str,
        *,
        rse: str = "",
        scope: str = "",
        journal: JournalReader | None = None,
    ) -> nights.NightReport:
        """Say what became of the files of a night: found, registered, replicated, quarantined, missing.

        The storage is listed, the catalogue and the quarantine are asked; nothing is changed.

        Parameters
        ----------
        night
            The night, by the date of its evening.
        rse
            The storage element on site; by default the only one.
        scope
            Only files of this scope; by default of all but the users' own.
        journal
            The journal of the daemon: it knows of files that have gone, what others wait for, and the times.
        """
        storage = self.onsite(rse)
        chosen = Night.parse(night) if isinstance(night, str) else night
        return nights.look(
            self.catalogue,
            storage,
            Site(storage.site),
            chosen,
            root=Path(os.path.realpath(storage.prefix)),
            vo=DEFAULT_VO,
            scope=scope,
            cases=self._quarantine(storage).cases(),
            policy=self.policy,
            entries=() if journal is None else journal.entries(night=chosen),
        )

    def verify(
        self, lfns: Iterable[Lfn | str] | Lfn | str, on_bytes: Callable[[int], None] = lambda _: None
    ) -> list[preservation.Evidence]:
        """Read back every copy of files, and say what each shows."""
        files = self.catalogue.files(names_of(lfns)).values()
        return list(preservation.read_back(files, now=self.now, on_bytes=on_bytes))
