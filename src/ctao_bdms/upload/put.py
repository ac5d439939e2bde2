"""Put products into the archive: plan as for an ingest, upload, then register.

The plan depends on the files and on the content of the archive. Scope, permissions and quota are checked before the
upload. After the upload the archive is queried again and a new plan is carried out: a file that another process put
meanwhile is known, and a file whose upload failed is refused. Uploaded files that are not registered are removed.
After a crash, the same put is safe to repeat.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import attrs

from ctao_bdms import ingest
from ctao_bdms.catalogue import Catalogue
from ctao_bdms.errors import CatalogueError, QuotaError, UnreachableError, UsageError
from ctao_bdms.ingest import BlockLimits, Outcome
from ctao_bdms.integrity import scan
from ctao_bdms.model import Defect, DefectKind, RetentionClass, Site
from ctao_bdms.naming import DEFAULT_VO, BlockName, BlockSeries, scope_of
from ctao_bdms.replication import Replication
from ctao_bdms.storage import open_sink
from ctao_bdms.upload.bring import absent, bring
from ctao_bdms.upload.claims import Claims, take_back
from ctao_bdms.upload.describe import LENIENT, describe_product
from ctao_bdms.upload.report import PutReport
from ctao_bdms.upload.targets import chosen_rse, held_at, site_and_night

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.ingest import Described, Plan
    from ctao_bdms.model import ArchivedFile, Lfn, NewProduct, ProductMetadata, Registration, Rse
    from ctao_bdms.storage import Sink

__all__ = ["Put", "find_files", "read_products"]

_LOG = logging.getLogger(__name__)
#: A put registers seconds after it opens a block: a block that is open for longer was left by a crash.
_ABANDONED_AFTER = dt.timedelta(minutes=2)


def find_files(paths: Iterable[Path]) -> list[tuple[Path, PurePath]]:
    """Return the files at and below `paths`, in order, with their relative paths.

    Hidden files and folders (names that begin with a dot) are left out. A link keeps its own name; links to folders
    inside a folder are not followed. Files that cannot be put (a broken link, a FIFO) are included, so that the report
    lists them.

    Raises
    ------
    UsageError
        If a path does not exist, or a folder cannot be listed.
    """
    found: dict[Path, PurePath] = {}
    for path in paths:
        if path.is_dir():
            below = (each.relative_to(path) for each in sorted(_below(path)))
            found |= {path / each: each for each in below if not any(part.startswith(".") for part in each.parts)}
        elif path.exists() or path.is_symlink():
            found[path] = PurePath(path.name)
        else:
            raise UsageError(f"there is no file {path}")
    return list(found.items())


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files and links below a folder, without hidden folders."""

    def fail(error: OSError) -> None:
        raise UsageError(f"the folder {error.filename} cannot be listed: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(place, name).is_symlink()]
        yield from (Path(place, name) for name in (*files, *links))


def read_products(
    files: Sequence[tuple[Path, PurePath]],
    product: NewProduct,
    *,
    vo: str,
    policy: ingest.CheckPolicy = LENIENT,
    jobs: int = 2,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> list[Described]:
    """Read and describe files; refuse the second of two with the same archive name.

    Parameters
    ----------
    files
        The result of `find_files`.
    product
        The metadata given by the user, for all files.
    vo
        The virtual organisation of the archive tree.
    policy
        The severity of differences between user, name and content.
    jobs
        Number of files that are read at the same time.
    on_bytes
        Called with the number of bytes after each piece that was read.
    """

    def read(file: tuple[Path, PurePath]) -> Described:
        return describe_product(*file, scan(file[0], on_bytes=on_bytes), product, vo, policy)

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        items = list(pool.map(read, files))
    first: dict[Lfn, Path] = {}
    for place, item in enumerate(items):
        lfn = item.file.lfn
        if lfn is not None and first.setdefault(lfn, item.file.path) != item.file.path:
            defect = Defect(DefectKind.CONFLICT, f"{first[lfn]} was given, too, and is called {lfn} as well")
            items[place] = _refused(item, defect)
    return items


def _refused(item: Described, defect: Defect) -> Described:
    """Return a file with one more defect and without a logical file name."""
    return attrs.evolve(item, file=attrs.evolve(item.file, lfn=None), defects=(*item.defects, defect))


@attrs.frozen(kw_only=True)
class Put:
    """Put products into the archive.

    Attributes
    ----------
    replication
        The replication of blocks, with the policy and the clock.
    retention
        The retention class; None if the policy decides.
    rse, near
        The requested storage element, or centre or region; empty if the policy decides.
    jobs
        Number of files that are uploaded at the same time.
    on_uploaded
        Called with the number of bytes after each uploaded piece.
    on_outcome
        Called with the outcome of each file at once.
    """

    catalogue: Catalogue
    replication: Replication
    retention: RetentionClass | None = None
    rse: str = ""
    near: str = ""
    jobs: int = 4
    limits: BlockLimits = attrs.field(factory=ingest.BlockLimits)
    on_uploaded: Callable[[int], None] = lambda _: None
    on_outcome: Callable[[Outcome], None] = lambda _: None

    def put(
        self,
        paths: Iterable[Path | str],
        product: NewProduct,
        *,
        checks: ingest.CheckPolicy = LENIENT,
        on_read: Callable[[int], None] = lambda _: None,
    ) -> PutReport:
        """Read files, also in folders, and put them into the archive; safe to repeat.

        Parameters
        ----------
        product
            The metadata given by the user, for all files.
        checks
            The severity of differences between user, name and content.
        on_read
            Called with the number of bytes after each piece that was read.
        """
        files = find_files([Path(path).absolute() for path in paths])
        items = read_products(files, product, vo=DEFAULT_VO, policy=checks, jobs=self.jobs, on_bytes=on_read)
        return self.run(items)

    def run(self, items: Sequence[Described]) -> PutReport:
        """Put files that were read into the archive; safe to repeat.

        Raises
        ------
        UsageError
            If no storage element takes the files.
        QuotaError
            If the files exceed the quota of a user; nothing is uploaded then.
        """
        archive = self.catalogue.files(map(_name, filter(_is_named, items)))
        groups: dict[str, list[Described]] = {}
        for item in items:
            sound = _recoverable(item, archive)
            groups.setdefault(self._rse_for(sound, archive), []).append(sound)
        plans = {rse: self._plan(members, archive, rse) for rse, members in groups.items()}
        self._demand_room(plans.values())
        for rse, plan in plans.items():
            if strangers := self._demand_places(plan):
                groups[rse] = [_without_place(item, strangers) for item in groups[rse]]
                plans[rse] = self._plan(groups[rse], archive, rse)
        outcomes: dict[Path, Outcome] = {}
        for rse, plan in plans.items():
            entering = frozenset(file.lfn for block in plan.blocks for file in block.files)
            for part in _portions(plan, groups[rse]):
                outcomes.update((outcome.path, outcome) for outcome in self._carry_out(part, archive, rse, entering))
        return PutReport(outcomes[item.file.path] for item in items)

    def _rse_for(self, item: Described, archive: Mapping[Lfn, ArchivedFile]) -> str:
        """Return the storage element of a file: of its replica, else by request or policy."""
        if item.file.lfn is None or item.defects:
            return ""
        if held := held_at(archive.get(item.file.lfn)):
            return held
        now = self.replication.now()
        target = site_and_night(item.metadata, now)
        retention = self._class_of(item.metadata, item.file.lfn)
        rses = self.catalogue.rses()
        return chosen_rse(rses, target, retention, self.replication.policy, now, rse=self.rse, near=self.near).name

    def _class_of(self, metadata: ProductMetadata, lfn: Lfn) -> RetentionClass:
        return self.retention or self.replication.policy.retention_for(metadata, scope=scope_of(str(lfn)))

    def _plan(self, items: Sequence[Described], archive: Mapping[Lfn, ArchivedFile], rse: str) -> Plan:
        """Return the plan for files at one storage element."""
        origin = self.catalogue.rses()[rse].centre if rse else ""

        def series_of(file: Registration) -> BlockSeries:
            site, night = site_and_night(file.metadata, self.replication.now())
            return BlockSeries(
                vo=file.lfn.vo,
                scope=scope_of(str(file.lfn)),
                site=site,
                night=night,
                retention=self._class_of(file.metadata, file.lfn),
                origin=origin,
            )

        return ingest.plan(
            items,
            archive,
            rse=rse,
            site=Site.EXTERNAL,
            now=self.replication.now(),
            token=lambda: secrets.token_hex(4),
            limits=self.limits,
            series_of=series_of,
        )

    def _demand_room(self, plans: Iterable[Plan]) -> None:
        """Check the quotas of users: those of the account and of the policy."""
        entering = [(plan.rse, block) for plan in plans for block in plan.blocks if block.did.scope.startswith("user.")]
        if not entering:
            return
        room, wanted = self.catalogue.room(), Counter[str]()
        total, quotas = 0, set[int]()
        for rse, block in entering:
            terms = self.replication.policy.retention(BlockName.parse(block.did.name).retention)
            size_bytes = sum(file.size_bytes for file in block.files)
            wanted[rse] += size_bytes
            total += size_bytes * terms.copies
            quotas |= set() if terms.quota_bytes is None else {terms.quota_bytes}
        for rse, size_bytes in wanted.items():
            if size_bytes > room.get(rse, 0.0):
                raise QuotaError(rse, size_bytes, int(room.get(rse, 0.0)))
        if quotas and total > (left := min(quotas) - sum(self.catalogue.kept().values())):
            raise QuotaError(", ".join(wanted), total, left, min(quotas))

    def _demand_places(self, plan: Plan) -> Mapping[Lfn, Defect]:
        """Make the directories before the upload, to find errors early.

        Return the files whose scope does not exist.

        Raises
        ------
        ForbiddenError
            If the account may not write there.
        """
        batches = ingest.Batches(self.catalogue, ingest.FIRST_BATCH)
        batches.prepare([file for block in plan.blocks for file in block.files])
        strangers = [refused for block in plan.blocks for refused in batches.strangers(block.files)]
        return {refused.file.lfn: refused.defect for refused in strangers}

    def _carry_out(
        self, items: Sequence[Described], archive: Mapping[Lfn, ArchivedFile], rse: str, entering: AbstractSet[Lfn]
    ) -> Iterable[Outcome]:
        """Upload the files in `entering` that are missing, register them, and add rules."""
        missing = [item for item in items if item.file.lfn in entering and held_at(archive.get(_name(item))) != rse]
        if not missing:
            return self._registered(items, archive, rse)
        storage = self.catalogue.rses()[rse]
        sink = open_sink(storage)
        brought: dict[Lfn, Described] = {}
        try:
            with Claims(sink, map(_name, missing)) as claims:
                there = {item.file.path: item for item in missing if _name(item) not in claims.refused}
                arrived = bring(
                    list(there.values()),
                    sink,
                    now=self.replication.now,
                    jobs=self.jobs,
                    brought=brought,
                    renew=claims.renew,
                    on_uploaded=self.on_uploaded,
                )
                arrived |= {
                    item.file.path: absent(item, claims.refused[_name(item)])
                    for item in missing
                    if item.file.path not in there
                }
                items = [arrived.get(item.file.path, item) for item in items]
                archive = self.catalogue.files(map(_name, filter(_is_named, items)))
                outcomes = list(self._registered(items, archive, rse))
        except UnreachableError as error:
            if not brought:
                raise
            # The timed-out registration may have been carried out, so the files must stay.
            raise UnreachableError(
                f"{error}; {len(brought)} files were brought to {rse} and may not be registered yet: put the same again"
            ) from error
        except BaseException:
            self._take_back(sink, storage, brought)
            raise
        entered = {outcome.lfn for outcome in outcomes if outcome.is_archived}
        left = self._take_back(sink, storage, brought.keys() - entered)
        return [_with_left(outcome, left) for outcome in outcomes]

    def _take_back(self, sink: Sink, storage: Rse, lfns: Collection[Lfn]) -> Mapping[Lfn, Defect]:
        """Remove unregistered uploads; return a defect for each file that stays."""

        def is_known(lfn: Lfn) -> bool:
            archived = self.catalogue.files([lfn]).get(lfn)
            return archived is not None and archived.at(storage.name) is not None

        try:
            left = take_back(sink, lfns, is_known)
        except CatalogueError as error:
            left = dict.fromkeys(lfns, str(error))
        for lfn, why in left.items():
            place = f"{storage.write_url}{lfn}"
            _LOG.warning("%s was uploaded and is not registered; it could not be removed: %s", place, why)
        return {
            lfn: Defect(
                DefectKind.STORAGE, f"its bytes stay at {storage.write_url}{lfn}, where nothing knows them: {why}"
            )
            for lfn, why in left.items()
        }

    def _registered(
        self, items: Sequence[Described], archive: Mapping[Lfn, ArchivedFile], rse: str
    ) -> Iterable[Outcome]:
        """Register the files that the archive lacks; try twice if it is unreachable."""
        try:
            return self._enter(items, archive, rse)
        except UnreachableError as error:
            # The database may reject one of two identical concurrent puts: the second try finds the files registered.
            _LOG.info("once more: %s", error)
            return self._enter(items, self.catalogue.files(map(_name, filter(_is_named, items))), rse)

    def _enter(self, items: Sequence[Described], archive: Mapping[Lfn, ArchivedFile], rse: str) -> Iterable[Outcome]:
        """Register the files that the archive lacks, and add rules to their blocks."""
        plan = self._plan(items, archive, rse)
        report = ingest.carry_out(
            plan,
            items,
            self.catalogue,
            quarantine=None,
            now=self.replication.now,
            first_rule=self.replication.policy.first_rule,
            begin_rules=self.replication.begin,
            on_outcome=self.on_outcome,
        )
        for did in sorted(set(plan.known.values())):
            self.replication.reconcile(did.scope, did.name, abandoned_after=_ABANDONED_AFTER)
        return report


def _is_named(item: Described) -> bool:
    return item.file.lfn is not None


def _name(item: Described) -> Lfn:
    assert item.file.lfn is not None  # a file without a name has a defect
    return item.file.lfn


def _without_place(item: Described, strangers: Mapping[Lfn, Defect]) -> Described:
    """Return a file, with a defect if its scope does not exist."""
    defect = None if item.file.lfn is None else strangers.get(item.file.lfn)
    return item if defect is None else attrs.evolve(item, defects=(*item.defects, defect))


def _with_left(outcome: Outcome, left: Mapping[Lfn, Defect]) -> Outcome:
    """Return an outcome, with a defect if the uploaded file could not be removed."""
    defect = None if outcome.lfn is None else left.get(outcome.lfn)
    return outcome if defect is None else attrs.evolve(outcome, defects=(*outcome.defects, defect))


def _recoverable(item: Described, archive: Mapping[Lfn, ArchivedFile]) -> Described:
    """Return a file, with a defect if the archive has lost all its copies."""
    known = archive.get(item.file.lfn) if item.file.lfn is not None else None
    if known is None or not known.replicas or held_at(known):
        return item
    states = ", ".join(f"{replica.rse}: {replica.state.value}" for replica in known.replicas)
    message = f"the archive knows it, and has no copy that can be used now ({states}); ask the archive administrator"
    return attrs.evolve(item, defects=(*item.defects, Defect(DefectKind.CATALOGUE, message)))


def _portions(plan: Plan, items: Sequence[Described]) -> Iterator[list[Described]]:
    """Yield groups of files: those without an upload, then those of each block."""
    names = [{file.lfn for file in block.files} for block in plan.blocks]
    planned = set().union(*names)
    yield [item for item in items if item.file.lfn not in planned]
    for block in names:
        yield [item for item in items if item.file.lfn in block]
