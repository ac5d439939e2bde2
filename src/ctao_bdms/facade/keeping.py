"""How copies are kept: what became of a night, and the proof that each is sound."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms import nights, preservation
from ctao_bdms.facade.connected import DEFAULT_VO, Connected, block_did, names_of
from ctao_bdms.model import Lfn, Night, Site
from ctao_bdms.naming import blocks_pattern, is_block, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.ingest.journal import JournalReader
    from ctao_bdms.model import Did
    from ctao_bdms.sealing import BlockManifest

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

    def manifest(self, block: Did | str, *, rse: str = "") -> BlockManifest:
        """Return the manifest of a block, from its copy at `rse`, by default from the first that can be read."""
        return preservation.read_manifest(self.catalogue, block_did(block), rse)

    def check_manifests(
        self,
        block: Did | str,
        *,
        rse: str = "",
        deep: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> preservation.ManifestChecks:
        """Compare the manifest of a block with the catalogue, and with the bytes of all its files if `deep`.

        Parameters
        ----------
        block
            The block.
        rse
            The storage element whose copy is read; by default each that has one.
        deep
            Whether every file is read back as well.
        on_bytes
            Called with the number of bytes after each piece that was read.
        """
        did = block_did(block)
        held = self.catalogue.products_in(did)
        files = self.catalogue.files([product.lfn for product in held]).values()
        places = {rse} if rse else {replica.rse for file in files for replica in file.replicas} or {""}
        return preservation.ManifestChecks(
            preservation.check_manifest(self.catalogue, did, place, now=self.now, deep=deep, on_bytes=on_bytes)
            for place in sorted(places)
        )

    def evidence(self, block: Did | str) -> preservation.BlockEvidence:
        """Return the evidence that is kept with a block: who verified which copy, how, when, with which digest."""
        return preservation.kept(self.catalogue, block_did(block))

    def release(
        self,
        scope: str,
        *,
        rse: str = "",
        night: Night | None = None,
        policy: preservation.ReleasePolicy | None = None,
        low_water: float | None = None,
        apply: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> preservation.Releases:
        """Free space on site: end the rules that hold the copies there of blocks that are safe at two centres.

        Parameters
        ----------
        scope
            The scope of the blocks.
        rse
            The storage element on site; by default the only one.
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
        storage, when = self.onsite(rse), policy or self._release_policy()
        free = float("inf")
        if low_water is not None:
            free = preservation.above_low_water(Path(storage.prefix), low_water)
        pattern = blocks_pattern(DEFAULT_VO, scope, Site(storage.site), night)
        rows = preservation.foresee_release(
            self.catalogue, storage, scope, pattern, when, self.now(), to_free_bytes=float("inf") if apply else free
        )
        if apply:
            rows = preservation.release(
                self.catalogue, storage, rows, when, now=self.now, to_free_bytes=free, on_bytes=on_bytes
            )
        left = (row for row in rows if row.verdict is not preservation.Verdict.RELEASED)
        return preservation.Releases(left, rows.stopped)

    def _release_policy(self) -> preservation.ReleasePolicy:
        """Return when copies on site may go, by the policy of the archive."""
        days = {kept: terms.onsite_days for kept, terms in self.policy.retentions.items()}
        return preservation.ReleasePolicy(
            by_class={kept: None if stays is None else dt.timedelta(days=stays) for kept, stays in days.items()}
        )

    def left_on_site(self, rows: preservation.Releases, *, rse: str = "") -> preservation.Releases:
        """Say what is left on site of blocks whose rules have ended, by the catalogue and by the disk."""
        return preservation.left_on_site(self.catalogue, self.onsite(rse), rows)

    def track(self, name: Lfn | str) -> nights.TrackedCopies:
        """Return the copies of a file or of a block: where, complete by when, by which rule, verified how.

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

    def track_night(self, night: Night | str, *, scope: str = "", site: Site | None = None) -> nights.TrackedCopies:
        """Return the copies of the blocks of a night; by default of all sites, and of all scopes but the users' own."""
        chosen = Night.parse(night) if isinstance(night, str) else night
        return nights.TrackedCopies(
            copy
            for each in ((scope,) if scope else self.catalogue.scopes())
            for copy in nights.track_blocks(self.catalogue, each, blocks_pattern(DEFAULT_VO, each, site, chosen))
        )

    def verify(
        self, lfns: Iterable[Lfn | str] | Lfn | str, on_bytes: Callable[[int], None] = lambda _: None
    ) -> list[preservation.Evidence]:
        """Read back every copy of files, and say what each shows.

        A dataset or container stands for all files in it.

        Raises
        ------
        NotFoundError
            If the archive does not know one of the names.
        """
        files = self.catalogue.content(names_of(lfns)).values()
        return list(preservation.read_back(files, now=self.now, on_bytes=on_bytes))
