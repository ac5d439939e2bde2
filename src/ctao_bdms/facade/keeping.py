"""How copies are kept: what became of a night, and the proof that each is sound."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms import nights, preservation
from ctao_bdms.facade.connected import DEFAULT_VO, Connected, names_of
from ctao_bdms.model import Lfn, Night, Site
from ctao_bdms.naming import blocks_pattern, is_block, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.ingest.journal import JournalReader

__all__ = ["Keeping"]


class Keeping(Connected):
    """How copies are kept."""

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
            now=self.now,
        )

    def track(self, name: Lfn | str) -> nights.TrackedCopies:
        """Return the copies of a file or of a block: where, since when, by which rule, verified how.

        Parameters
        ----------
        name
            The name of a file, or of a block.

        Raises
        ------
        NotFoundError
            If the archive does not have the file.
        """
        if is_block(str(name)):
            return nights.track_blocks(self.catalogue, scope_of(str(name)), str(name))
        return nights.track_file(self.catalogue, name if isinstance(name, Lfn) else Lfn(name))

    def track_night(self, night: Night | str, *, scope: str = "acada", site: Site = Site.NORTH) -> nights.TrackedCopies:
        """Return the copies of the blocks of a night."""
        chosen = Night.parse(night) if isinstance(night, str) else night
        return nights.track_blocks(self.catalogue, scope, blocks_pattern(DEFAULT_VO, scope, site, chosen))

    def verify(
        self, lfns: Iterable[Lfn | str] | Lfn | str, on_bytes: Callable[[int], None] = lambda _: None
    ) -> list[preservation.Evidence]:
        """Read back every copy of files, and say what each shows."""
        files = self.catalogue.files(names_of(lfns)).values()
        return list(preservation.read_back(files, now=self.now, on_bytes=on_bytes))
