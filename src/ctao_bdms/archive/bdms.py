"""The archive in one object."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms import access, nights, preservation, upload
from ctao_bdms.archive.block_verbs import BlockVerbs
from ctao_bdms.archive.connected import Connected
from ctao_bdms.archive.night_verbs import NightVerbs
from ctao_bdms.archive.quarantine_verbs import QuarantineVerbs
from ctao_bdms.archive.rule_verbs import RuleVerbs
from ctao_bdms.dry_run import DryRun, dry_run
from ctao_bdms.ingest import BlockLimits, CheckPolicy
from ctao_bdms.model import NewProduct
from ctao_bdms.replication import Replication

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Mapping

    from ctao_bdms.catalogue import Catalogue
    from ctao_bdms.inbox import LocalFile
    from ctao_bdms.ingest import IngestReport, Outcome
    from ctao_bdms.model import Did, FileFacts, Lfn
    from ctao_bdms.nights import TrackedCopies
    from ctao_bdms.replication import Policy

__all__ = ["Bdms"]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Bdms:
    """The archive.

    Parameters
    ----------
    catalogue
        A connected catalogue, or the one in memory.
    policy
        How products are kept.
    now
        The clock (aware).
    quarantine
        The folder of the quarantine; by default beside the storage root.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        policy: Policy,
        now: Callable[[], dt.datetime] = _now,
        quarantine: Path | None = None,
    ) -> None:
        replication = Replication(catalogue, policy, now)
        self._connected = Connected(catalogue=catalogue, replication=replication, quarantine_folder=quarantine)

    def __repr__(self) -> str:
        return f"Bdms({self.catalogue!r})"

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that the archive is asked through."""
        return self._connected.catalogue

    @property
    def replication(self) -> Replication:
        """The replication of its blocks, with the policy and the clock; `rules` has the verbs of operators."""
        return self._connected.replication

    @property
    def health(self) -> access.Health:
        """Storage elements that failed recently in this process."""
        return self._connected.health.get()

    @property
    def rules(self) -> RuleVerbs:
        """For operators: the rules of blocks, and the data centres."""
        return RuleVerbs(self._connected)

    @property
    def quarantine(self) -> QuarantineVerbs:
        """For operators: the files in quarantine."""
        return QuarantineVerbs(self._connected)

    @property
    def nights(self) -> NightVerbs:
        """For operators: what became of nights, and the space that they take on site."""
        return NightVerbs(self._connected)

    @property
    def blocks(self) -> BlockVerbs:
        """For operators: the manifests of blocks, and the evidence of their copies."""
        return BlockVerbs(self._connected)

    def through(self, catalogue: Catalogue) -> Bdms:
        """Return the same archive, asked through another catalogue."""
        here = self.replication
        return Bdms(catalogue, policy=here.policy, now=here.now, quarantine=self._connected.quarantine_folder)

    def ingest(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        rse: str = "",
        jobs: int = 2,
        limits: BlockLimits | None = None,
        checks: CheckPolicy | None = None,
        sidecars: bool = True,
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
        checks
            How serious it is where name and content of a file disagree; by default it stays out.
        sidecars
            Whether what producers say beside their files is compared.
        on_scanned, on_bytes, on_outcome
            Called after each file that was read, after each piece of one, and when it is known what became of a file.

        Returns
        -------
        ctao_bdms.ingest.IngestReport
            What became of each file.
        """
        here, given = self._connected, _paths(paths)
        storage = here.onsite(rse, given)
        site = here.site_ingest(
            storage,
            limits=limits,
            checks=checks,
            sidecars=sidecars,
            jobs=jobs,
            on_scanned=on_scanned,
            on_bytes=on_bytes,
        )
        items = site.read(site.find(given))
        return site.register(items, here.quarantine(storage), on_outcome)

    def plan(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        rse: str = "",
        jobs: int = 2,
        limits: BlockLimits | None = None,
        checks: CheckPolicy | None = None,
        sidecars: bool = True,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> DryRun:
        """Return what `ingest` would do with the same paths; nothing is changed.

        Parameters
        ----------
        paths, rse, jobs, limits, checks, sidecars, on_bytes
            As of `ingest`.

        Returns
        -------
        ctao_bdms.dry_run.DryRun
            What would become of each file, and which blocks, copies and requests that would take.
        """
        here, given = self._connected, _paths(paths)
        site = here.site_ingest(
            here.onsite(rse, given), limits=limits, checks=checks, sidecars=sidecars, jobs=jobs, on_bytes=on_bytes
        )
        items = site.read(site.find(given))
        return dry_run(site.plan(items), items, here.catalogue, here.replication.placement)

    def put(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        product: NewProduct | None = None,
        storage: upload.KeptFor | None = None,
        rse: str = "",
        near: str = "",
        jobs: int = 4,
        limits: BlockLimits | None = None,
        checks: CheckPolicy = upload.LENIENT,
        on_read: Callable[[int], None] = lambda _: None,
        on_uploaded: Callable[[int], None] = lambda _: None,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> upload.PutReport:
        """Check products, upload and register them, and ask for their copies.

        The data model names them. A file that is bad, or not what is said of it, is not uploaded and never stops the
        others. To call it again is safe: what is done already is not done twice.

        Parameters
        ----------
        paths
            Files, or folders that are put with everything in them.
        product
            Metadata of all of them beside what their names and contents say; by default none.
        storage
            For how long they are kept; by default as the policy says.
        rse, near
            The storage element, or the centre or region, where they are uploaded; by default the one that keeps the
            data of their night.
        jobs, limits
            How many files are read and uploaded at once, and how large a block may become.
        checks
            How serious it is where name, content and `product` disagree.
        on_read, on_uploaded
            Called with the size of each piece that was read, and of each that was uploaded.
        on_outcome
            Called with the outcome of each file.

        Raises
        ------
        UsageError
            If there is no such file, or no storage element takes them.
        QuotaError
            If a user's files are more than the account may keep.
        """
        said = product or NewProduct()
        put = upload.Put(
            catalogue=self.catalogue,
            replication=self.replication,
            retention=upload.retention_class(storage, said),
            rse=rse,
            near=near,
            jobs=jobs,
            limits=limits or BlockLimits(),
            on_uploaded=on_uploaded,
            on_outcome=on_outcome,
        )
        return put.put(_paths(paths), said, checks=checks, on_read=on_read)

    def query(
        self,
        *,
        scope: str = "",
        sort: str | Iterable[str] = (),
        limit: int | None = None,
        any_of: Iterable[Mapping[str, object]] = (),
        **words: Any,  # noqa: ANN401
    ) -> access.Products:
        """Return the products that match a query, read page by page when needed.

        Parameters
        ----------
        scope
            Where to look; by default in all scopes but the users' own.
        sort
            What they are sorted by, as in ``sort="-start_time"`` or ``sort=["night", "size"]``; by default the name.
        limit
            The most products to return.
        any_of
            Alternatives: groups of words, of which one must hold besides `words`.
        **words
            What to look for: ``level``, ``kind``, ``category``, ``night``, ``site``, ``telescope``, ``subarray``,
            ``obs_id``, ``sb_id``, ``target``, ``release``, ``start_time``, ``end_time``, ``time=(begin, end)``,
            ``near=(ra, dec, radius)`` in degrees, ``copies``, ``latest=True``, or any key of the metadata table; a list
            means any of its values, a `Range` what lies in it; see `ctao_bdms.access.query`.
        """
        here = self._connected
        return access.query(here.catalogue, here.scopes(scope), words, limit, any_of=any_of, sort=sort, now=here.now)

    def count(self, *, scope: str = "", any_of: Iterable[Mapping[str, object]] = (), **words: Any) -> int:  # noqa: ANN401
        """Return the number of products that match a query, with the words of `query`."""
        here = self._connected
        return access.build_query(here.scopes(scope), words, any_of=any_of).count(here.catalogue, here.now)

    def locate(self, names: access.Names, *, near: str = "", protocol: str = "") -> access.Copies:
        """Return the copies of files, of each the best first.

        Parameters
        ----------
        names
            Files; a directory or block stands for all files in it.
        near
            The site, centre or storage element whose copies come first.
        protocol
            Only copies that can be reached by this scheme, e.g. ``root``, with their URLs of that scheme.
        """
        return access.locate(self.catalogue, self.catalogue.rses(), access.names_of(names), near, protocol)

    def retrieve(
        self,
        names: access.Names | None = None,
        folder: Path | str = ".",
        *,
        block: Did | Lfn | str = "",
        directory: Lfn | str = "",
        tree: bool = False,
        near: str = "",
        jobs: int = 4,
        on_bytes: Callable[[int], None] | None = None,
        progress: access.Progress | None = None,
        **words: Any,  # noqa: ANN401
    ) -> access.FetchedFiles:
        """Fetch files into `folder`, verified; see `ctao_bdms.access.retrieve`.

        Parameters
        ----------
        names
            Files, or products that `query` has found; a directory or block stands for all files in it.
        folder
            Where they go.
        block, directory
            Other ways to say a name: all files of a block, all files below a directory.
        tree
            Whether to keep the directories of the names below `folder`.
        near
            The site, centre or storage element whose copies come first.
        jobs
            How many files are fetched at once.
        on_bytes
            Called with the number of bytes after each piece.
        progress
            Is told how far it is, file by file.
        **words
            What to look for, as for `query`, instead of names: ``night="2026-11-21"``.

        Raises
        ------
        UsageError
            If nothing was asked for, or both names and words.
        """
        wanted = access.names_to_fetch(names, block=block, directory=directory, words=words, query=self.query)
        return access.retrieve(
            self.catalogue,
            self.catalogue.rses(),
            wanted,
            Path(folder),
            tree=tree,
            near=near,
            jobs=jobs,
            health=self.health,
            progress=progress if on_bytes is None else access.ByteProgress(on_bytes),
        )

    def open(self, lfn: Lfn | str, *, near: str = "", verify: bool = False) -> io.BufferedReader:
        """Open the best copy of a file for reading; see `ctao_bdms.access.open_file`.

        Parameters
        ----------
        lfn
            The file.
        near
            The site, centre or storage element whose copies come first.
        verify
            Whether to read it through once first, and compare its digest.
        """
        (name,) = access.names_of(lfn)
        rses = self.catalogue.rses()
        return access.open_file(self.catalogue, rses, name, near=near, verify=verify, health=self.health)

    def track(self, name: Lfn | str) -> TrackedCopies:
        """Return the copies of a file or a block, with their rules and verifications.

        Parameters
        ----------
        name
            The name of a file, or of a block.

        Raises
        ------
        NotFoundError
            If the archive does not have the file.
        """
        return nights.track(self.catalogue, name)

    def verify(
        self, names: access.Names, on_bytes: Callable[[int], None] = lambda _: None
    ) -> list[preservation.ReadBack]:
        """Read back every copy of files, and say what each shows.

        A dataset or container stands for all files in it.

        Raises
        ------
        NotFoundError
            If the archive does not know one of the names.
        """
        files = self.catalogue.content(access.names_of(names)).values()
        return list(preservation.read_back(files, now=self.replication.now, on_bytes=on_bytes))


def _paths(paths: Iterable[Path | str] | Path | str) -> list[Path]:
    return [Path(path) for path in ([paths] if isinstance(paths, Path | str) else paths)]
