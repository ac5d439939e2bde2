"""The archive in one object: what pipelines, notebooks and the command line use."""

from __future__ import annotations

import datetime as dt
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms import access, ingest, nights, preservation, replication
from ctao_bdms.errors import UsageError
from ctao_bdms.foresee import Foreseen, foresee
from ctao_bdms.model import Lfn, Night, Site
from ctao_bdms.naming import blocks_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ctao_bdms.catalogue import Catalogue
    from ctao_bdms.ingest import (
        BlockLimits,
        Case,
        CheckPolicy,
        Described,
        IngestReport,
        LocalFile,
        Outcome,
        Plan,
        Quarantine,
    )
    from ctao_bdms.ingest.journal import JournalReader
    from ctao_bdms.model import Did, FileFacts, Rse

__all__ = ["Bdms", "connect"]

#: How many files one request registers: what a batch of one call can hold, until the server says otherwise.
FIRST_BATCH = ingest.BatchSize(files=1000)
#: The virtual organisation whose names the archive keeps.
DEFAULT_VO = "ctao"


def connect(config: Path | str | None = None) -> Bdms:
    """Connect to the archive.

    Parameters
    ----------
    config
        A ``rucio.cfg`` of a client, as `bdms status` names it for an embedded Rucio. By default the one that Rucio's
        own client finds: ``RUCIO_CONFIG``, or ``$RUCIO_HOME/etc/rucio.cfg``.

    Raises
    ------
    MissingExtraError
        If ``ctao-bdms[client]`` is not installed.
    NotFoundError
        If there is no configuration.
    AuthenticationError, UnreachableError
        If the server refuses or does not answer.
    """
    try:
        from ctao_bdms.catalogue.rucio import RucioCatalogue
    except ModuleNotFoundError as error:
        from ctao_bdms.errors import MissingExtraError

        raise MissingExtraError("client", error.name or "rucio") from error
    return Bdms(RucioCatalogue.connect(None if config is None else Path(config)))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Bdms:
    """The archive.

    Parameters
    ----------
    catalogue
        A connected catalogue, or the one in memory.
    now
        The clock (aware).
    quarantine
        The folder of the quarantine; by default beside the storage root.
    """

    def __init__(
        self, catalogue: Catalogue, *, now: Callable[[], dt.datetime] = _now, quarantine: Path | None = None
    ) -> None:
        self.catalogue = catalogue
        self.now = now
        self._quarantine_folder = quarantine

    def __repr__(self) -> str:
        return f"Bdms({self.catalogue!r})"

    def through(self, catalogue: Catalogue, *, quarantine: Path | None = None) -> Bdms:
        """Return the same archive, asked through another catalogue, or with another folder of the quarantine."""
        return Bdms(catalogue, now=self.now, quarantine=quarantine or self._quarantine_folder)

    def ingest(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        rse: str = "",
        jobs: int = 2,
        limits: BlockLimits | None = None,
        policy: CheckPolicy | None = None,
        on_scanned: Callable[[LocalFile, FileFacts | None], None] = lambda _file, _facts: None,
        on_bytes: Callable[[int], None] = lambda _: None,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> IngestReport:
        """Check files, register them where they lie, and ask for their copies.

        A file that is bad goes to quarantine beside the storage root and never stops the others. To call it again is
        safe: what is done already is not done twice.

        Parameters
        ----------
        paths
            Data files on the site's storage, or directories that are searched for ``.trigger`` files.
        rse
            The storage element where they lie; by default the one whose prefix they are under.
        jobs
            How many files are read at once.
        limits
            How large a block may become.
        policy
            How serious it is where name and content of a file disagree; by default it stays out.
        on_scanned, on_bytes, on_outcome
            Called after each file that was read, after each piece of one, and when it is known what became of a file.

        Returns
        -------
        ctao_bdms.ingest.IngestReport
            What became of each file.
        """
        storage, files = self._survey(paths, rse)
        items = ingest.read_all(files, policy, jobs=jobs, on_scanned=on_scanned, on_bytes=on_bytes)
        return self._carry_out(self._planned(items, storage, limits), items, storage, on_outcome)

    def plan(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        rse: str = "",
        jobs: int = 2,
        limits: BlockLimits | None = None,
        policy: CheckPolicy | None = None,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> Foreseen:
        """Say what `ingest` would do with the same paths; nothing is changed, neither on disk nor in the archive.

        Parameters
        ----------
        paths, rse, jobs, limits, policy, on_bytes
            As of `ingest`.

        Returns
        -------
        ctao_bdms.foresee.Foreseen
            What would become of each file, and which blocks, copies and requests that would take.
        """
        storage, files = self._survey(paths, rse)
        items = ingest.read_all(files, policy, jobs=jobs, on_bytes=on_bytes)
        return foresee(self._planned(items, storage, limits), items, self.catalogue)

    def _survey(self, paths: Iterable[Path | str] | Path | str, rse: str) -> tuple[Rse, list[LocalFile]]:
        """Return the storage element where `paths` lie, and the files that they stand for."""
        given = [Path(path) for path in ([paths] if isinstance(paths, Path | str) else paths)]
        storage = self._onsite(rse, given)
        return storage, ingest.survey(given, Path(storage.prefix))

    def _planned(self, items: Sequence[Described], storage: Rse, limits: BlockLimits | None = None) -> Plan:
        """Return what is still to be done with `items`."""
        return ingest.plan(
            items,
            self.catalogue.files(item.file.lfn for item in items if not item.defects and item.file.lfn is not None),
            rse=storage.name,
            site=Site(storage.site),
            now=self.now(),
            token=lambda: secrets.token_hex(4),
            limits=limits or ingest.BlockLimits(),
        )

    def _carry_out(
        self,
        plan: Plan,
        items: Sequence[Described],
        storage: Rse,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> IngestReport:
        """Do what is to be done."""
        batches = ingest.Batches(self.catalogue, FIRST_BATCH)
        quarantine = self._quarantine(storage)
        report = ingest.execute(plan, items, self.catalogue, batches, quarantine, self.now, on_outcome)
        filled = {outcome.block for outcome in report}
        replication.begin(self.catalogue, (block.did for block in plan.blocks if block.did in filled))
        return report

    def quarantine(self, rse: str = "") -> Quarantine:
        """Return the quarantine of a storage element on site, by default of the only one."""
        return self._quarantine(self.onsite(rse))

    def retry(self, case: Case, *, rse: str = "", why: str = "") -> IngestReport:
        """Put a file from quarantine back to where it came from, and ingest it again.

        Parameters
        ----------
        case
            The case.
        rse
            The storage element whose quarantine it is in.
        why
            The reason, for the record.
        """
        deed = ingest.Deed.now("retry", self.now(), why)
        return self.ingest(ingest.release(self.quarantine(rse), case, deed), rse=rse)

    def accept(self, case: Case, why: str, *, rse: str = "") -> IngestReport:
        """Let a file enter the archive in spite of the defects that its case names.

        It is read again. Defects that the case does not name still keep it out. What was accepted, by whom and why,
        stands in the product's ``disclaimer``, in the case's document and in the log of the quarantine.

        Parameters
        ----------
        case
            The case.
        why
            The reason.
        rse
            The storage element whose quarantine it is in.

        Raises
        ------
        UsageError
            If there is no reason, or a defect that nobody can accept, a conflict for one.
        """
        if not why.strip():
            raise UsageError("a file is accepted for a reason; say which")
        ingest.require_acceptable(case)
        deed = ingest.Deed.now("accept", self.now(), why)
        storage, files = self._survey(ingest.release(self.quarantine(rse), case, deed), rse)
        items = [ingest.accepted(item, case.defects, deed) for item in ingest.read_all(files)]
        return self._carry_out(self._planned(items, storage), items, storage)

    def _quarantine(self, storage: Rse) -> Quarantine:
        """Return the quarantine beside the root of `storage`; no storage element may hold it."""
        beside = ingest.Quarantine.beside(Path(storage.prefix))
        quarantine = beside if self._quarantine_folder is None else ingest.Quarantine(self._quarantine_folder)
        for other in self.catalogue.rses().values():
            if other.prefix and quarantine.folder.is_relative_to(other.prefix):
                raise UsageError(
                    f"the quarantine {quarantine.folder} lies in the namespace of {other.name}, {other.prefix}"
                )
        return quarantine

    def onsite(self, rse: str = "") -> Rse:
        """Return the storage element on site called `rse`, by default the only one.

        Raises
        ------
        UsageError
            If there is no such, or there are several to choose from.
        """
        return self._onsite(rse, ())

    def _onsite(self, name: str, paths: Sequence[Path]) -> Rse:
        """Return the on-site storage element called `name`, or the one that holds the first of `paths`."""
        onsite = {rse.name: rse for rse in self.catalogue.rses().values() if rse.is_onsite}
        if name:
            if name not in onsite:
                raise UsageError(f"{name!r} is no storage element on site; there are {', '.join(sorted(onsite))}")
            return onsite[name]
        holding = [r for r in onsite.values() if any(p.absolute().is_relative_to(Path(r.prefix)) for p in paths)]
        if holding or len(onsite) == 1:
            return (holding or list(onsite.values()))[0]
        raise UsageError(f"say with rse= where the files lie: one of {', '.join(sorted(onsite)) or 'none'}")

    def query(self, *, scope: str = "", limit: int | None = None, **words: Any) -> access.Products:  # noqa: ANN401
        """Return the products that answer a question.

        Parameters
        ----------
        scope
            Where to look; by default in all scopes but the users' own.
        limit
            The most products to return.
        **words
            What to look for: ``level``, ``kind``, ``night``, ``site``, ``telescope``, ``subarray``, ``obs_id``,
            ``sb_id``, ``release``, ``time=(begin, end)``, or any key of the metadata table; a list means any of its
            values; see `ctao_bdms.access.conditions`.
        """
        scopes = (scope,) if scope else self.catalogue.scopes()
        return access.query(self.catalogue, scopes, words, limit)

    def locate(self, lfns: Iterable[Lfn | str] | Lfn | str, *, near: str = "") -> access.Copies:
        """Return the copies of files, of each the best first.

        Parameters
        ----------
        lfns
            The files.
        near
            The site or centre whose copies come first.
        """
        return access.locate(self.catalogue, self.catalogue.rses(), _names(lfns), near)

    def retrieve(
        self,
        lfns: Iterable[Lfn | str] | Lfn | str,
        folder: Path | str = ".",
        *,
        tree: bool = False,
        near: str = "",
        jobs: int = 4,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> access.FetchedFiles:
        """Fetch files into `folder`, verified while they are written; see `ctao_bdms.access.retrieve`."""
        return access.retrieve(
            self.catalogue,
            self.catalogue.rses(),
            _names(lfns),
            Path(folder),
            tree=tree,
            near=near,
            jobs=jobs,
            on_bytes=on_bytes,
        )

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
        return replication.reconcile(self.catalogue, scope, pattern, now=self.now, on_rule=on_rule)

    def replication(
        self, scope: str, *, site: Site | None = None, night: Night | None = None
    ) -> replication.BlockStates:
        """Return how far the replication of each closed block is; nothing is changed."""
        return replication.look(self.catalogue, scope, blocks_pattern(DEFAULT_VO, scope, site, night))

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
            entries=() if journal is None else journal.entries(night=chosen),
        )

    def verify(
        self, lfns: Iterable[Lfn | str] | Lfn | str, on_bytes: Callable[[int], None] = lambda _: None
    ) -> list[preservation.Evidence]:
        """Read back every copy of files, and say what each shows."""
        files = self.catalogue.files(_names(lfns)).values()
        return list(preservation.read_back(files, now=self.now, on_bytes=on_bytes))


def _names(lfns: Iterable[Lfn | str] | Lfn | str) -> list[Lfn]:
    given = [lfns] if isinstance(lfns, Lfn | str) else lfns
    return [lfn if isinstance(lfn, Lfn) else Lfn(lfn) for lfn in given]
