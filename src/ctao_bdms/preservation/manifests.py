"""Compare the manifests of blocks with the catalogue, and on request with the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms.blocks import BlockManifest, compare_manifest, manifest_of
from ctao_bdms.catalogue import BlockCatalogue, ContentCatalogue, FileCatalogue
from ctao_bdms.errors import ManifestError, NotFoundError
from ctao_bdms.model import Did, Lfn, ReplicaState
from ctao_bdms.naming import is_manifest
from ctao_bdms.preservation.fixity import read_back
from ctao_bdms.preservation.verifiers import VERIFIERS, ask
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from ctao_bdms.preservation.verifiers import Verifier

__all__ = ["ManifestCheck", "ManifestChecks", "check_manifest", "read_manifest"]


class _ManifestCatalogue(ContentCatalogue, BlockCatalogue, Protocol):
    """The catalogue verbs that read a manifest; none of them changes it."""


class _ManifestsCatalogue(_ManifestCatalogue, FileCatalogue, Protocol):
    """The catalogue verbs that check all replicas of a manifest; none of them changes it."""


@attrs.frozen(kw_only=True)
class ManifestCheck:
    """The comparison of one copy of a manifest with the catalogue.

    Attributes
    ----------
    block
        The block.
    rse
        The storage element of the copy that was read.
    lfn
        The name of the manifest; None if there is none.
    n_files, size_bytes
        What the manifest names.
    n_read
        How many files were read back.
    problems
        What does not agree; empty if all does.
    """

    block: Did
    rse: str
    lfn: Lfn | None = None
    n_files: int = 0
    size_bytes: int = 0
    n_read: int = 0
    problems: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return "; ".join(self.problems) or "agrees"


class ManifestChecks(Rows[ManifestCheck]):
    """Comparisons of manifests, one row a copy."""

    columns: ClassVar = (
        ("block", "block"),
        ("at", "rse"),
        ("files", "n_files"),
        ("bytes", "size_bytes"),
        ("read back", "n_read"),
        ("verdict", "verdict"),
    )

    @property
    def ok(self) -> bool:
        """Whether copies were checked, and none has a problem."""
        return bool(self) and not any(check.problems for check in self)


def read_manifest(
    catalogue: _ManifestCatalogue, block: Did, rse: str = "", verifiers: Mapping[str, Verifier] = VERIFIERS
) -> BlockManifest:
    """Return the manifest of a block.

    Parameters
    ----------
    rse
        The storage element whose copy is read; by default the first that can be.
    verifiers
        What reads copies, by the scheme of their URL.

    Raises
    ------
    NotFoundError
        If the block has no manifest, or no copy of it can be read.
    ManifestError
        If it is damaged.
    """
    latest = manifest_of(catalogue.products_in(block))
    if latest is None:
        raise NotFoundError(f"block {block} has no manifest; it gets one when it is closed")
    said = []
    for replica in catalogue.content([latest.lfn])[latest.lfn].replicas:
        if rse in {"", replica.rse} and replica.state is ReplicaState.AVAILABLE:
            try:
                _, content = ask(replica, lambda verifier, url: verifier.content(url), verifiers)
            except OSError as error:
                said.append(f"{replica.rse}: {error}")
            else:
                return BlockManifest.parse(content)
    raise NotFoundError(f"no copy of {latest.lfn} can be read: {'; '.join(said) or f'there is none at {rse}'}")


def check_manifests(
    catalogue: _ManifestsCatalogue,
    block: Did,
    rse: str = "",
    *,
    now: Callable[[], dt.datetime],
    deep: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> ManifestChecks:
    """Compare every copy of the manifest of a block with the catalogue, one row a storage element.

    Parameters
    ----------
    rse
        The storage element whose copy is read; by default each that holds files of the block.
    catalogue, block, now, deep, on_bytes
        As of `check_manifest`.
    """
    files = catalogue.files([product.lfn for product in catalogue.products_in(block)]).values()
    places = {rse} if rse else {replica.rse for file in files for replica in file.replicas} or {""}
    return ManifestChecks(
        check_manifest(catalogue, block, place, now=now, deep=deep, on_bytes=on_bytes) for place in sorted(places)
    )


def check_manifest(
    catalogue: _ManifestCatalogue,
    block: Did,
    rse: str,
    *,
    now: Callable[[], dt.datetime],
    deep: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
    verifiers: Mapping[str, Verifier] = VERIFIERS,
) -> ManifestCheck:
    """Compare the manifest of a block, as it lies at a storage element, with the catalogue.

    Parameters
    ----------
    catalogue
        The archive; it is only asked.
    deep
        Whether every file of the block is read back there as well, and compared with the manifest's digests.
    on_bytes
        Called with the number of bytes after each piece that was read.
    verifiers
        What reads copies, by the scheme of their URL.
    """
    held = catalogue.products_in(block)
    latest = manifest_of(held)
    if latest is None:
        why = "the block has no manifest" if held else "the block is empty or does not exist"
        return ManifestCheck(block=block, rse=rse, problems=(why,))
    try:
        manifest = read_manifest(catalogue, block, rse, verifiers)
    except (ManifestError, NotFoundError) as error:
        return ManifestCheck(block=block, rse=rse, lfn=latest.lfn, problems=(str(error),))
    problems = list(compare_manifest(manifest, block, held))
    n_read = 0
    if deep:
        files = catalogue.content([product.lfn for product in held])
        known = {file.lfn: str(file.metadata.get("integrity__sha256", "")) for file in manifest.files}
        there = {lfn for lfn, file in files.items() if file.at(rse) is not None}
        problems += [f"{product.lfn}: no copy is at {rse}" for product in held if product.lfn not in there]
        for each in read_back(files.values(), now=now, on_bytes=on_bytes, at={rse}, sha256=known, verifiers=verifiers):
            n_read += not is_manifest(each.lfn.text)
            problems += [f"{each.lfn}: {each.problem}"] if each.problem else []
    return ManifestCheck(
        block=block,
        rse=rse,
        lfn=latest.lfn,
        n_files=len(manifest.files),
        size_bytes=manifest.size_bytes,
        n_read=n_read,
        problems=tuple(problems),
    )
