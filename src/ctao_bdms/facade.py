"""The archive in one object: what pipelines, notebooks and the command line use."""

from __future__ import annotations

import datetime as dt
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms import access, ingest, preservation, replication
from ctao_bdms.errors import UsageError
from ctao_bdms.integrity import scan
from ctao_bdms.model import Lfn, Site
from ctao_bdms.naming import blocks_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ctao_bdms.catalogue import Catalogue
    from ctao_bdms.model import Did, FileFacts, Night, Rse

__all__ = ["Bdms", "connect"]

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
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def __repr__(self) -> str:
        return f"Bdms({self.catalogue!r})"

    def ingest(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        rse: str = "",
        jobs: int = 2,
        limits: ingest.BlockLimits | None = None,
        policy: ingest.CheckPolicy | None = None,
        on_scanned: Callable[[ingest.LocalFile, FileFacts | None], None] = lambda _file, _facts: None,
        on_bytes: Callable[[int], None] = lambda _: None,
        on_outcome: Callable[[ingest.Outcome], None] = lambda _: None,
    ) -> ingest.IngestReport:
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
        given = [Path(path) for path in ([paths] if isinstance(paths, Path | str) else paths)]
        storage = self._onsite(rse, given)
        root = Path(storage.prefix)
        files = ingest.survey(given, root)

        def read(file: ingest.LocalFile) -> ingest.Described:
            facts = None if file.defects else scan(file.path, on_bytes=on_bytes)
            on_scanned(file, facts)
            return ingest.describe(file, facts, policy or ingest.CheckPolicy())

        with ThreadPoolExecutor(max_workers=jobs) as pool:
            items = list(pool.map(read, files))
        plan = ingest.plan(
            items,
            self.catalogue.files(item.file.lfn for item in items if not item.defects and item.file.lfn is not None),
            rse=storage.name,
            site=Site(storage.site),
            now=_now(),
            token=lambda: secrets.token_hex(4),
            limits=limits or ingest.BlockLimits(),
        )
        report = ingest.execute(plan, items, self.catalogue, ingest.Quarantine.beside(root), _now, on_outcome)
        replication.begin(self.catalogue, (block.did for block in plan.blocks))
        return report

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
        return replication.reconcile(self.catalogue, scope, pattern, now=_now, on_rule=on_rule)

    def replication(
        self, scope: str, *, site: Site | None = None, night: Night | None = None
    ) -> replication.BlockStates:
        """Return how far the replication of each closed block is; nothing is changed."""
        return replication.look(self.catalogue, scope, blocks_pattern(DEFAULT_VO, scope, site, night))

    def verify(
        self, lfns: Iterable[Lfn | str] | Lfn | str, on_bytes: Callable[[int], None] = lambda _: None
    ) -> list[preservation.Evidence]:
        """Read back every copy of files, and say what each shows."""
        files = self.catalogue.files(_names(lfns)).values()
        return list(preservation.read_back(files, now=_now, on_bytes=on_bytes))


def _names(lfns: Iterable[Lfn | str] | Lfn | str) -> list[Lfn]:
    given = [lfns] if isinstance(lfns, Lfn | str) else lfns
    return [lfn if isinstance(lfn, Lfn) else Lfn(lfn) for lfn in given]
