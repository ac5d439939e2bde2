"""The methods of `bdms.nights`: reports, copies and on-site space of a night."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms import nights, preservation
from ctao_bdms.model import Night, Site
from ctao_bdms.naming import DEFAULT_VO, blocks_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.archive.connected import Connected
    from ctao_bdms.journal import JournalReader

__all__ = ["NightVerbs"]


class NightVerbs:
    """Nights of data; `rse` is the on-site storage element, by default the only one."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    def report(
        self, night: Night | str, *, rse: str = "", scope: str = "", journal: JournalReader | None = None
    ) -> nights.NightReport:
        """Return the report of a night: the state of each of its files.

        The storage is listed, the catalogue and the quarantine are asked; nothing is changed.

        Parameters
        ----------
        night
            The night, by the date of its evening.
        scope
            Only files of this scope; by default of all but the users' own.
        journal
            The journal of the daemon: it knows of files that have gone, what others wait for, and the times.
        """
        here, chosen = self._connected, _night(night)
        storage = here.onsite(rse)
        return nights.gather_report(
            here.catalogue,
            storage,
            Site(storage.site),
            chosen,
            root=Path(os.path.realpath(storage.prefix)),
            vo=DEFAULT_VO,
            scope=scope,
            cases=here.quarantine(storage).cases(),
            entries=() if journal is None else journal.entries(night=chosen),
            replication=here.replication,
        )

    def track(self, night: Night | str, *, scope: str = "", site: Site | None = None) -> nights.TrackedCopies:
        """Return the copies of the blocks of a night; by default without user scopes."""
        return nights.TrackedCopies(
            copy
            for each, pattern in self._connected.blocks(scope, site, _night(night))
            for copy in nights.track_blocks(self._connected.catalogue, each, pattern)
        )

    def release(
        self,
        scope: str,
        *,
        rse: str = "",
        night: Night | None = None,
        policy: preservation.SpacePolicy | None = None,
        low_water: float | None = None,
        apply: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> preservation.SpaceReleases:
        """Free space on site: end the on-site rules of blocks verified at two centres.

        Parameters
        ----------
        scope
            The scope of the blocks.
        night
            Only the blocks of this night.
        policy
            When a copy may go; by default as the policy of the archive says of each retention class.
        low_water
            How full the storage may stay, 0 to 1: no more blocks go than that takes; by default all that may.
        apply
            Whether it is done; otherwise it is only said what would be.
        on_bytes
            Called with the number of bytes after each piece of a copy that was read back.

        Returns
        -------
        ctao_bdms.preservation.Releases
            What becomes of each block, and why; those of which nothing is on site are left out. If the catalogue went
            out of reach on the way, ``stopped`` says so.
        """
        here = self._connected
        storage = here.onsite(rse)
        return preservation.release_space(
            here.catalogue,
            storage,
            scope,
            blocks_pattern(DEFAULT_VO, scope, Site(storage.site), night),
            policy or preservation.SpacePolicy.of_days(here.replication.policy.onsite_days),
            now=here.now,
            low_water=low_water,
            apply=apply,
            on_bytes=on_bytes,
        )

    def left_on_site(self, rows: preservation.SpaceReleases, *, rse: str = "") -> preservation.SpaceReleases:
        """Return files left on site of released blocks, by the catalogue and by the disk."""
        return preservation.left_on_site(self._connected.catalogue, self._connected.onsite(rse), rows)


def _night(night: Night | str) -> Night:
    return Night.parse(night) if isinstance(night, str) else night
