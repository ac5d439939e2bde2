"""Putting products into the archive: the same convergent walk as an ingest, with an upload before the registration.

What is to be done is planned from what the files are and what the archive holds. What can be refused is refused before
a byte is moved: scope, rights, room. Then the bytes are brought to where the plan wants them, the archive is asked
again, and the new plan is carried out: so a file that somebody else has put meanwhile is known, and one that did not
arrive is refused. What was brought and is not registered then is taken back. A crash anywhere is repaired by putting
again.
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
#: A put registers within seconds of opening a block: one that is open for longer was left by a crash.
_ABANDONED_AFTER = dt.timedelta(minutes=2)


def find_files(paths: Iterable[Path]) -> list[tuple[Path, PurePath]]:
    """Return the files that `paths` stand for, each with its path inside of what was given, in order.

    A folder stands for everything below it that is no folder, but for what has a name, or lies in a folder with a name,
    that begins with a dot. A link counts by its own name; one to a folder is not followed inside of a folder. What
    cannot be put (a link that leads nowhere, a FIFO) is among them, so that the report names it.

    Raises
    ------
    UsageError
        If there is nothing at a path, or a folder cannot be listed.
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
    """Yield everything below a folder that is no folder, and links to folders."""

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
    """Read and describe files; of two that would have one name in the archive, the second is refused.

    Parameters
    ----------
    files
        As `find_files` returns them.
    product
        What is said of them all.
    vo
        The virtual organisation in whose tree they go.
    policy
        How serious it is where name, maker and content disagree.
    jobs
        How many are read at once.
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
    """Return a file with one more defect and without a name."""
    return attrs.evolve(item, file=attrs.evolve(item.file, lfn=None), defects=(*item.defects, defect))


@attrs.frozen(kw_only=True)
class Put:
    """How products are put into the archive.

    Attributes
    ----------
    catalogue
        The archive.
    replication
        The replication of its blocks, with the policy and the clock.
    retention
        The retention class; None if the policy says it.
    rse, near
        The storage element, or the centre or region, where they enter; empty if the policy decides.
    jobs
        How many files are uploaded at once.
    limits
        How large a block may become.
    on_uploaded
        Called with the number of bytes after each piece that was uploaded.
    on_outcome
        Called with what became of a file, as soon as it is known.
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
        """Read files, and all in folders, and put them into the archive; to call it again with the same is safe.

        Parameters
        ----------
        paths
            Files or folders.
        product
            What is said of all of them beside what their names and contents say.
        checks
            How serious it is where name, content and what is said disagree.
        on_read
            Called with the number of bytes after each piece that was read.
        """
        files = find_files([Path(path).absolute() for path in paths])
        items = read_products(files, product, vo=DEFAULT_VO, policy=checks, jobs=self.jobs, on_bytes=on_read)
        return self.run(items)

    def run(self, items: Sequence[Described]) -> PutReport:
        """Put files that were read into the archive; to call it again with the same is safe.

        Raises
        ------
        UsageError
            If no storage element can take them.
        QuotaError
            If they are more than a user may keep; nothing is uploaded then.
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
        """Return where a file enters: where the archive has it already, else where it is asked for or belongs."""
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
        """Return what is still to be done with files that enter at one storage element."""
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
        """Check that what users put is not more than they may keep: by their account, and by the policy."""
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
        """Make the directories of what enters, while no byte is moved: so the archive says what it does not take.

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
        """Upload what is `entering` and not yet there, then register it and ask for its copies."""
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
            # Whether they were registered, only the archive knows.
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
        """Remove what was brought and is not registered; return what still lies there, with its place."""

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
        """Register what the archive lacks."""
        try:
            return self._enter(items, archive, rse)
        except UnreachableError as error:
            # Of two that do the same at once the database may turn one away: it then finds the other's work.
            _LOG.info("once more: %s", error)
            return self._enter(items, self.catalogue.files(map(_name, filter(_is_named, items))), rse)

    def _enter(self, items: Sequence[Described], archive: Mapping[Lfn, ArchivedFile], rse: str) -> Iterable[Outcome]:
        """Register what the archive lacks, and see to the rules of the blocks that hold it."""
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
    assert item.file.lfn is not None  # what has no name has a defect
    return item.file.lfn


def _without_place(item: Described, strangers: Mapping[Lfn, Defect]) -> Described:
    """Return a file, with a defect if its scope does not exist."""
    defect = None if item.file.lfn is None else strangers.get(item.file.lfn)
    return item if defect is None else attrs.evolve(item, defects=(*item.defects, defect))


def _with_left(outcome: Outcome, left: Mapping[Lfn, Defect]) -> Outcome:
    """Return an outcome, with a defect if the bytes of the file still lie where they were brought for nothing."""
    defect = None if outcome.lfn is None else left.get(outcome.lfn)
    return outcome if defect is None else attrs.evolve(outcome, defects=(*outcome.defects, defect))


def _recoverable(item: Described, archive: Mapping[Lfn, ArchivedFile]) -> Described:
    """Return a file, with a defect if the archive knows it and has lost all its copies: that is no matter of a put."""
    known = archive.get(item.file.lfn) if item.file.lfn is not None else None
    if known is None or not known.replicas or held_at(known):
        return item
    states = ", ".join(f"{replica.rse}: {replica.state.value}" for replica in known.replicas)
    message = f"the archive knows it, and has no copy that can be used now ({states}); ask the archive administrator"
    return attrs.evolve(item, defects=(*item.defects, Defect(DefectKind.CATALOGUE, message)))


def _portions(plan: Plan, items: Sequence[Described]) -> Iterator[list[Described]]:
    """Yield the files that are carried out together: those without an upload, then those of each block."""
    names = [{file.lfn for file in block.files} for block in plan.blocks]
    planned = set().union(*names)
    yield [item for item in items if item.file.lfn not in planned]
    for block in names:
        yield [item for item in items if item.file.lfn in block]
