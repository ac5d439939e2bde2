"""Dry run of an ingest: names, sizes, directories, blocks, centres and requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms.catalogue import RegistrationCatalogue, StorageCatalogue
from ctao_bdms.errors import NotFoundError
from ctao_bdms.ingest import Outcome, Status
from ctao_bdms.model import Defect, DefectKind, Did, Lfn
from ctao_bdms.naming import ROOT_SCOPE, directories_of, scope_of
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctao_bdms.ingest import Described, Plan

__all__ = ["DryRunBlock", "DryRun", "dry_run"]

#: How many identifiers one request asks for or makes; how many requests open and close a block, with its manifest; and
#: how many rules it gets at its closing: that of the first centre.
_BULK, _OPEN_AND_CLOSE, _FIRST_RULES = 1000, 5, 1


class _DryRunCatalogue(StorageCatalogue, RegistrationCatalogue, Protocol):
    """The catalogue that a dry run reads; nothing is changed there."""


@attrs.frozen(kw_only=True)
class DryRunBlock:
    """A block that would be made. Its real name ends with another time and other digits.

    Attributes
    ----------
    n_files, size_bytes
        What it would hold.
    centres
        The centres that would receive it, the one that copies from the site first.
    """

    did: Did
    n_files: int
    size_bytes: int
    centres: tuple[str, ...]


class DryRun(Rows[Outcome]):
    """What would become of each file, one row a file.

    Parameters
    ----------
    blocks
        The blocks that would be made.
    directories
        The directories that would be made.
    n_requests
        How many requests to the catalogue that would take, beyond those that look first.
    """

    columns: ClassVar = (
        ("file", "file"),
        ("status", "status"),
        ("bytes", "size_bytes"),
        ("directory", "directory"),
        ("why", "defects"),
    )

    def __init__(
        self,
        rows: Iterable[Outcome],
        blocks: Sequence[DryRunBlock] = (),
        directories: Sequence[Did] = (),
        n_requests: int = 0,
    ) -> None:
        super().__init__(rows)
        self.blocks = DryRunBlocks(blocks)
        self.directories = tuple(directories)
        self.n_requests = n_requests

    @property
    def rejected(self) -> tuple[Outcome, ...]:
        """The files that would not enter the archive."""
        return tuple(outcome for outcome in self if not outcome.is_archived)


class DryRunBlocks(Rows[DryRunBlock]):
    """The blocks that would be made, one row each."""

    columns: ClassVar = (
        ("block", "did"),
        ("files", "n_files"),
        ("bytes", "size_bytes"),
        ("centres", "centres"),
    )


def dry_run(
    plan: Plan,
    items: Sequence[Described],
    catalogue: _DryRunCatalogue,
    placement: Callable[[Did], tuple[str, ...]],
) -> DryRun:
    """Return what the execution of `plan` would do, without doing it.

    Parameters
    ----------
    plan, items
        The plan, and the files that it was made for.
    catalogue
        The archive; it is only asked.
    placement
        Returns the centres that keep the copies of a block.

    Returns
    -------
    DryRun
        What would become of each file. The number of requests holds for a process that has registered nothing before,
        if the catalogue takes every file.
    """
    missing, strangers = _directories(plan, catalogue)
    fates: dict[Lfn, tuple[Status, Did | None]] = {lfn: (Status.KNOWN, block) for lfn, block in plan.known.items()}
    blocks, lfns = [], []
    for block in plan.blocks:
        files = [file for file in block.files if scope_of(str(file.lfn)) not in strangers]
        if not files:
            continue
        fates.update((file.lfn, (Status.REGISTERED, block.did)) for file in files)
        lfns += [file.lfn for file in files]
        size_bytes = sum(file.size_bytes for file in files)
        centres = placement(block.did)
        blocks.append(DryRunBlock(did=block.did, n_files=len(files), size_bytes=size_bytes, centres=centres))
    rejects = {id(reject.item): reject for reject in plan.rejected}
    rows = []
    for item in items:
        reject = rejects.get(id(item))
        if reject is not None:
            status = Status.QUARANTINED if reject.quarantine else Status.REFUSED
            rows.append(Outcome.of(item, status, defects=reject.defects))
        elif item.file.lfn in fates:
            status, did = fates[item.file.lfn]
            rows.append(Outcome.of(item, status, block=did))
        elif item.file.lfn is not None:
            reason = strangers[scope_of(str(item.file.lfn))]
            rows.append(Outcome.of(item, Status.REFUSED, defects=(Defect(DefectKind.CATALOGUE, reason),)))
    return DryRun(rows, blocks, missing, _requests(blocks, lfns, missing))


def _directories(plan: Plan, catalogue: _DryRunCatalogue) -> tuple[list[Did], Mapping[str, str]]:
    """Return the directories that do not exist, and why the files of some scopes cannot be registered."""
    by_scope: dict[str, list[Lfn]] = {}
    for block in plan.blocks:
        for file in block.files:
            by_scope.setdefault(scope_of(str(file.lfn)), []).append(file.lfn)
    missing: list[Did] = []
    strangers: dict[str, str] = {}
    for scope, lfns in by_scope.items():
        try:
            missing += catalogue.missing_directories(lfns)
        except NotFoundError as error:
            strangers[scope] = str(error)
    return missing, strangers


def _requests(blocks: Sequence[DryRunBlock], lfns: Sequence[Lfn], missing: Sequence[Did]) -> int:
    """Return how many requests it takes to make directories, and to open, fill and close blocks with their rules."""
    tree = {d.did: d for lfn in lfns for d in directories_of(lfn) if d.did.scope != ROOT_SCOPE}
    hang = any(d.parent is not None and d.parent.scope != ROOT_SCOPE for d in tree.values())
    directories = -(-len(tree) // _BULK) + -(-len(missing) // _BULK) + hang
    return directories + sum(_OPEN_AND_CLOSE + -(-block.n_files // _BULK) + _FIRST_RULES for block in blocks)
