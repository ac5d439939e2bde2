"""What is still to be done with a batch of files: pure.

The plan follows from what the files are and what the archive already holds; it never remembers. So a crash anywhere is
repaired by planning again: what is done already is no longer in the plan.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.ingest.describe import Described
from ctao_bdms.ingest.open_blocks import BlockLimits, OpenBlock
from ctao_bdms.model import (
    ArchivedFile,
    Defect,
    DefectKind,
    Did,
    Lfn,
    Night,
    ProductMetadata,
    Registration,
    ReplicaState,
    RetentionClass,
    Site,
)
from ctao_bdms.naming import BlockName, BlockSeries, directories_of, is_block, scope_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = ["PlannedBlock", "Plan", "Reject", "RetentionOf", "permanent", "plan"]

#: Says the retention class of a product, by its metadata and its scope.
RetentionOf = Callable[[ProductMetadata, str], RetentionClass]

_LIMITS = BlockLimits()
#: Defects that say nothing of the content: the file may well be sound the next time.
_PASSING = {
    DefectKind.CHANGING,
    DefectKind.UNREADABLE,
    DefectKind.UNEXAMINED,
    DefectKind.WORKER,
    DefectKind.MACHINE,
}


@attrs.frozen(kw_only=True)
class PlannedBlock:
    """A block to be filled.

    Attributes
    ----------
    did
        Its identifier.
    files
        What goes into it.
    opens
        Whether it is new; otherwise it is open already.
    closes
        Whether it is closed then; otherwise it stays open for more.
    """

    did: Did
    files: tuple[Registration, ...]
    opens: bool = True
    closes: bool = True


@attrs.frozen(kw_only=True)
class Reject:
    """A file that does not enter the archive.

    Attributes
    ----------
    item
        The file.
    defects
        Why.
    quarantine
        Whether it is moved to quarantine. Otherwise it stays where it is: it is not under the storage root, or it may
        be sound the next time.
    """

    item: Described
    defects: tuple[Defect, ...]
    quarantine: bool


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be done, in this order.

    Attributes
    ----------
    rse
        The storage element where the files lie.
    blocks
        Blocks to be filled; the directories of their files come first.
    known
        The files that the archive holds already, whole, each with its block.
    rejected
        Files that do not enter.
    """

    rse: str
    blocks: tuple[PlannedBlock, ...]
    known: Mapping[Lfn, Did]
    rejected: tuple[Reject, ...]


def permanent(_metadata: ProductMetadata, _scope: str) -> RetentionClass:
    """Say that every product is permanent."""
    return RetentionClass.PERMANENT


def plan(
    items: Sequence[Described],
    archive: Mapping[Lfn, ArchivedFile],
    *,
    rse: str,
    site: Site,
    now: dt.datetime,
    token: Callable[[], str],
    limits: BlockLimits = _LIMITS,
    open_blocks: Sequence[OpenBlock] = (),
    keep_open: bool = False,
    retention_of: RetentionOf = permanent,
    series_of: Callable[[Registration], BlockSeries] | None = None,
) -> Plan:
    """Return what is still to be done.

    Parameters
    ----------
    items
        The files, each described.
    archive
        What the catalogue says of their names.
    rse, site
        The storage element where the files lie, and the site where it stands.
    now
        The present (aware), for the names of new blocks.
    token
        Gives eight new hexadecimal digits at each call, for the names of new blocks.
    limits
        How large a block may become.
    open_blocks
        Blocks that are being filled, at most one of each scope, night and retention class.
    keep_open
        Whether blocks that are not full stay open for more.
    retention_of
        Says the retention class of a product: a block holds products of one.
    series_of
        Says which blocks can take a file; by default those of its scope, night and retention class at `site`. If it
        is given, a file in a block of another class is not known, unless it is kept for ever there.
    """
    classes_of = _at_least if series_of else lambda _: set(RetentionClass)
    series_of = series_of or partial(_onsite_series, site, retention_of)
    known: dict[Lfn, Did] = {}
    rejected: list[Reject] = []
    groups: dict[BlockSeries, list[Registration]] = {}
    for item in items:
        archived = None if item.file.lfn is None else archive.get(item.file.lfn)
        is_replica = _is_replica(item, archived, rse)
        defects = item.defects or tuple(_conflicts(item, archived))
        block = _block_of(archived, rse, set(RetentionClass)) if defects and is_replica else None
        if block is not None and item.file.lfn is not None:
            # Somebody has accepted it, or the checks were not as strict: what the archive holds stays where it lies.
            known[item.file.lfn] = block
            continue
        if defects or item.facts is None or item.file.lfn is None:
            stays = is_replica or {defect.kind for defect in defects} <= _PASSING
            rejected.append(Reject(item=item, defects=defects, quarantine=item.file.is_ours and not stays))
            continue
        registration = Registration(
            lfn=item.file.lfn, size_bytes=item.facts.size_bytes, adler32=item.facts.adler32, metadata=item.metadata
        )
        series = series_of(registration)
        if (block := _block_of(archived, rse, classes_of(series.retention))) is not None:
            known[item.file.lfn] = block
        else:
            groups.setdefault(series, []).append(registration)
    opened = now.astimezone(dt.UTC).replace(microsecond=0)

    def new(series: BlockSeries) -> OpenBlock:
        return OpenBlock(did=series.block(opened, token()).did)

    current = {block.name.series: block for block in open_blocks}
    blocks = [
        block
        for series, members in groups.items()
        for block in _filled(members, limits, current.get(series), partial(new, series), keep_open)
    ]
    return Plan(rse=rse, blocks=tuple(blocks), known=known, rejected=tuple(rejected))


def _conflicts(item: Described, archived: ArchivedFile | None) -> Iterator[Defect]:
    """Yield a defect if the archive holds other content under the file's name."""
    if archived is None or item.facts is None:
        return
    ours, theirs = (item.facts.size_bytes, item.facts.digests.get("adler32")), (archived.size_bytes, archived.adler32)
    if ours != theirs:
        message = (
            f"the archive holds {theirs[0]} bytes with adler32 {theirs[1]} under this name, "
            f"the file has {ours[0]} bytes with adler32 {ours[1] or 'unknown'}; nothing was overwritten"
        )
        yield Defect(DefectKind.CONFLICT, message)


def _is_replica(item: Described, archived: ArchivedFile | None, rse: str) -> bool:
    """Return whether the bytes are those that the archive holds here under this name."""
    if archived is None or item.facts is None or any(_conflicts(item, archived)):
        return False
    replica = archived.at(rse)
    return replica is not None and replica.state is ReplicaState.AVAILABLE


def _block_of(archived: ArchivedFile | None, rse: str, classes: Collection[RetentionClass]) -> Did | None:
    """Return the block of a file that the archive holds whole: here, in its directory and in a block; None if not.

    Only blocks of the retention `classes` count.
    """
    if archived is None:
        return None
    replica = archived.at(rse)
    if replica is None or replica.state is not ReplicaState.AVAILABLE:
        return None
    if directories_of(archived.lfn)[-1].did not in archived.datasets:
        return None
    blocks = sorted(did for did in archived.datasets if is_block(did.name))
    return next((did for did in blocks if BlockName.parse(did.name).retention in classes), None)


def _at_least(retention: RetentionClass) -> set[RetentionClass]:
    """Return `retention` and what serves every purpose: to be kept for ever."""
    return {RetentionClass.PERMANENT, retention}


def _onsite_series(site: Site, retention_of: RetentionOf, file: Registration) -> BlockSeries:
    """Return which blocks take a file that lies on site: those of its scope, night and retention class."""
    night = file.metadata["instance__observing_night"]
    assert isinstance(night, dt.date)  # the metadata table says so, and DL0 requires it
    scope = scope_of(str(file.lfn))
    retention = retention_of(file.metadata, scope)
    return BlockSeries(vo=file.lfn.vo, scope=scope, site=site, night=Night(night), retention=retention)


def _filled(
    files: Sequence[Registration],
    limits: BlockLimits,
    current: OpenBlock | None,
    new: Callable[[], OpenBlock],
    keep_open: bool,
) -> Iterator[PlannedBlock]:
    """Yield blocks that take `files` within `limits`, the first of them `current` if there is one."""
    block, opens = (new(), True) if current is None else (current, False)
    n_files, size_bytes = block.n_files, block.size_bytes
    pack: list[Registration] = []
    for file in files:
        if limits.is_full(n_files, size_bytes, file.size_bytes):
            yield PlannedBlock(did=block.did, files=tuple(pack), opens=opens, closes=True)
            block, opens, pack, n_files, size_bytes = new(), True, [], 0, 0
        pack.append(file)
        n_files += 1
        size_bytes += file.size_bytes
    closes = not keep_open or limits.is_full(n_files, size_bytes)
    yield PlannedBlock(did=block.did, files=tuple(pack), opens=opens, closes=closes)
