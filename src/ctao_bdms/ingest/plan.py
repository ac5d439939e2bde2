"""What is still to be done with a batch of files: pure.

The plan follows from what the files are and what the archive already holds; it never remembers. So a crash anywhere is
repaired by planning again: what is done already is no longer in the plan.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.ingest.describe import Described
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
from ctao_bdms.naming import BlockName, directories_of, is_block, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["BlockLimits", "PlannedBlock", "Plan", "Reject", "plan"]

#: Defects that say nothing of the content: the file may well be sound the next time.
_PASSING = {DefectKind.CHANGING, DefectKind.UNREADABLE, DefectKind.UNEXAMINED, DefectKind.WORKER}


@attrs.frozen(kw_only=True)
class BlockLimits:
    """How large a block may become.

    Attributes
    ----------
    files
        The most files.
    size_bytes
        The most bytes; a single file may be larger.
    """

    files: int = 500
    size_bytes: int = 1_000_000_000_000


@attrs.frozen(kw_only=True)
class PlannedBlock:
    """A block to be opened, filled and closed.

    Attributes
    ----------
    did
        Its identifier.
    files
        What goes into it.
    """

    did: Did
    files: tuple[Registration, ...]


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
        Blocks to be made; the directories of their files come first.
    known
        Names of files that the archive holds already, whole.
    rejected
        Files that do not enter.
    """

    rse: str
    blocks: tuple[PlannedBlock, ...]
    known: tuple[Lfn, ...]
    rejected: tuple[Reject, ...]


def plan(
    items: Sequence[Described],
    archive: Mapping[Lfn, ArchivedFile],
    *,
    rse: str,
    site: Site,
    now: dt.datetime,
    token: Callable[[], str],
    limits: BlockLimits = BlockLimits(),
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
    """
    known: list[Lfn] = []
    rejected: list[Reject] = []
    groups: dict[tuple[str, str, Night], list[Registration]] = {}
    for item in items:
        defects = item.defects
        if not defects and item.file.lfn is not None:
            defects = tuple(_conflicts(item, archive.get(item.file.lfn)))
        if defects or item.facts is None or item.file.lfn is None:
            passing = {defect.kind for defect in defects} <= _PASSING
            rejected.append(Reject(item=item, defects=defects, quarantine=item.file.is_ours and not passing))
        elif _is_whole(archive.get(item.file.lfn), rse):
            known.append(item.file.lfn)
        else:
            registration = Registration(
                lfn=item.file.lfn,
                size_bytes=item.facts.size_bytes,
                adler32=item.facts.adler32,
                metadata=item.metadata,
            )
            groups.setdefault(_group(registration, site), []).append(registration)
    blocks = [
        PlannedBlock(
            did=BlockName(
                vo=vo,
                scope=scope,
                site=site,
                night=night,
                retention=RetentionClass.PERMANENT,
                opened=now.astimezone(dt.UTC).replace(microsecond=0),
                token=token(),
            ).did,
            files=files,
        )
        for (vo, scope, night), members in groups.items()
        for files in _packed(members, limits)
    ]
    return Plan(rse=rse, blocks=tuple(blocks), known=tuple(known), rejected=tuple(rejected))


def _conflicts(item: Described, archived: ArchivedFile | None) -> Iterator[Defect]:
    """Yield a defect if the archive holds other content under the file's name."""
    if archived is None or item.facts is None:
        return
    ours, theirs = (item.facts.size_bytes, item.facts.adler32), (archived.size_bytes, archived.adler32)
    if ours != theirs:
        message = (
            f"the archive holds {theirs[0]} bytes with adler32 {theirs[1]} under this name, "
            f"the file has {ours[0]} bytes with adler32 {ours[1]}; nothing was overwritten"
        )
        yield Defect(DefectKind.CONFLICT, message)


def _is_whole(archived: ArchivedFile | None, rse: str) -> bool:
    """Whether the archive holds the file, here, in its directory and in a block."""
    if archived is None:
        return False
    replica = archived.at(rse)
    directory = directories_of(archived.lfn)[-1].did
    in_block = any(is_block(did.name) for did in archived.datasets)
    return (
        replica is not None and replica.state is ReplicaState.AVAILABLE and directory in archived.datasets and in_block
    )


def _group(file: Registration, site: Site) -> tuple[str, str, Night]:
    """Return what all files of one block share: the virtual organisation, the scope, the night."""
    night = file.metadata["instance__observing_night"]
    assert isinstance(night, dt.date)  # the metadata table says so, and DL0 requires it
    return file.lfn.vo, scope_of(str(file.lfn)), Night(night)


def _packed(files: Sequence[Registration], limits: BlockLimits) -> Iterator[tuple[Registration, ...]]:
    """Yield `files` in packs that respect `limits`."""
    pack: list[Registration] = []
    size = 0
    for file in files:
        if pack and (len(pack) >= limits.files or size + file.size_bytes > limits.size_bytes):
            yield tuple(pack)
            pack, size = [], 0
        pack.append(file)
        size += file.size_bytes
    if pack:
        yield tuple(pack)
