"""Plan the ingest of a batch of files (pure).

The plan depends only on the files and on the content of the archive, never on earlier plans. After a crash the files
are planned again: steps that were done are no longer in the plan.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import attrs

from ctao_bdms.ingest.describe import Described
from ctao_bdms.ingest.open_blocks import BlockLimits, OpenBlock, RetentionOf, permanent
from ctao_bdms.model import (
    ArchivedFile,
    Defect,
    DefectKind,
    Did,
    Lfn,
    Night,
    Registration,
    ReplicaState,
    RetentionClass,
    Site,
)
from ctao_bdms.naming import BlockName, BlockSeries, directories_of, is_block, scope_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = ["PlannedBlock", "Plan", "Reject", "plan"]

_LIMITS = BlockLimits()
#: Defects that are not about the content: the file may be good at the next try.
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
    files
        The files to be registered in it.
    opens
        Whether it is a new block; otherwise it is open already.
    closes
        Whether it is closed after that; otherwise it stays open for more files.
    """

    did: Did
    files: tuple[Registration, ...]
    opens: bool = True
    closes: bool = True


@attrs.frozen(kw_only=True)
class Reject:
    """A rejected file.

    Attributes
    ----------
    quarantine
        Whether it is moved to quarantine. Otherwise it stays where it is: it is outside the storage root, or it may
        be good at the next try.
    """

    item: Described
    defects: tuple[Defect, ...]
    quarantine: bool


@attrs.frozen(kw_only=True)
class Plan:
    """The steps of an ingest, in order.

    Attributes
    ----------
    rse
        The storage element of the files.
    blocks
        Blocks to be filled, after the directories of their files are made.
    known
        Files that are in the archive already, complete, each with its block.
    rejected
        Files that do not enter the archive.
    """

    rse: str
    blocks: tuple[PlannedBlock, ...]
    known: Mapping[Lfn, Did]
    rejected: tuple[Reject, ...]


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
    """Return the steps that are still to be done for `items`.

    Parameters
    ----------
    archive
        The files that the catalogue knows under the names of `items`.
    now
        The present (aware), for the names of new blocks.
    token
        Returns eight new hexadecimal digits at each call, for the names of new blocks.
    open_blocks
        Blocks that are being filled, at most one of each scope, night and retention class.
    keep_open
        Whether blocks that are not full stay open for more files.
    retention_of
        Returns the retention class of a product; a block holds products of one class.
    series_of
        Returns the series of blocks for a file; by default that of its scope, night and retention class at `site`.
        If it is given, a file in a block of another class counts as known only if that class is permanent.
    """
    classes_of = _at_least if series_of else lambda _: set(RetentionClass)
    series_of = series_of or partial(_onsite_series, site, retention_of)
    known: dict[Lfn, Did] = {}
    rejected: list[Reject] = []
    groups: dict[BlockSeries, list[Registration]] = {}
    for item in items:
        archived = None if item.file.lfn is None else archive.get(item.file.lfn)
        judged = _judged(item, archived, rse)
        if isinstance(judged, Reject):
            rejected.append(judged)
        elif isinstance(judged, _Held):
            known[judged.lfn] = judged.block
        else:
            series = series_of(judged)
            block = _block_of(archived, rse, classes_of(series.retention))
            if block is None:
                groups.setdefault(series, []).append(judged)
            else:
                known[judged.lfn] = block
    current = {block.name.series: block for block in open_blocks}
    blocks = [
        block
        for series, members in groups.items()
        for block in _filled(members, limits, current.get(series), partial(_new, series, now, token), keep_open)
    ]
    return Plan(rse=rse, blocks=tuple(blocks), known=known, rejected=tuple(rejected))


def _new(series: BlockSeries, now: dt.datetime, token: Callable[[], str]) -> OpenBlock:
    opened = now.astimezone(dt.UTC).replace(microsecond=0)
    return OpenBlock(did=series.block(opened, token()).did)


class _Held(NamedTuple):
    """A file with defects that the archive holds."""

    lfn: Lfn
    block: Did


def _judged(item: Described, archived: ArchivedFile | None, rse: str) -> Registration | _Held | Reject:
    """Return the registration of a good file, and otherwise that it is rejected or held already."""
    is_replica = _is_replica(item, archived, rse)
    defects = item.defects or tuple(_conflicts(item, archived))
    block = _block_of(archived, rse, set(RetentionClass)) if defects and is_replica else None
    if block is not None and item.file.lfn is not None:
        # An operator accepted it, or the checks were less strict then: an archived file is never quarantined.
        return _Held(item.file.lfn, block)
    if defects or item.facts is None or item.file.lfn is None:
        stays = is_replica or {defect.kind for defect in defects} <= _PASSING
        return Reject(item=item, defects=defects, quarantine=item.file.is_ours and not stays)
    return Registration(
        lfn=item.file.lfn, size_bytes=item.facts.size_bytes, adler32=item.facts.adler32, metadata=item.metadata
    )


def _conflicts(item: Described, archived: ArchivedFile | None) -> Iterator[Defect]:
    """Yield a defect if the archive has other content under the same name."""
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
    """Return whether the file is the archived replica at `rse`."""
    if archived is None or item.facts is None or any(_conflicts(item, archived)):
        return False
    replica = archived.at(rse)
    return replica is not None and replica.state is ReplicaState.AVAILABLE


def _block_of(archived: ArchivedFile | None, rse: str, classes: Collection[RetentionClass]) -> Did | None:
    """Return the block of a fully archived file; None if anything is missing.

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
    """Return the retention classes that keep a file at least as long."""
    return {RetentionClass.PERMANENT, retention}


def _onsite_series(site: Site, retention_of: RetentionOf, file: Registration) -> BlockSeries:
    """Return the series of blocks for a file on site."""
    night = file.metadata["instance__observing_night"]
    assert isinstance(night, dt.date)  # DL0 requires it, and the metadata table gives the type
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
    """Yield blocks for `files` within `limits`, beginning with `current`."""
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
