"""Closing a block: its manifest is written on site, registered in the block, and then the block is closed.

What the catalogue says is in the block decides, never what somebody remembers: a crash between any two steps is
repaired by doing it again, with the same bytes under the same name. Only files that entered the block after its
manifest was registered, by a request that was not answered, make another one, with the next number.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ctao_bdms.catalogue import FindBlocks, KnowStorage, Lookup, Register
from ctao_bdms.errors import BlockClosedError, StorageError, UsageError
from ctao_bdms.naming import BlockName, ManifestName, is_manifest, path_of_lfn
from ctao_bdms.sealing.manifest import BlockManifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.model import Did, Product, Rse, Site

__all__ = ["Sealing", "manifest_of", "onsite_of", "seal"]

_LOG = logging.getLogger(__name__)
#: How the scopes of users begin: what lies there is kept for a while only, and has no manifests.
_USERS = "user."


class Sealing(KnowStorage, FindBlocks, Register, Lookup, Protocol):
    """What closing a block asks of a catalogue."""


def seal(catalogue: Sealing, block: Did) -> None:
    """Write the manifest of a block, register it in the block, and close the block for ever.

    It is safe to repeat, and a block that is closed is left as it is. Closed without a manifest are empty blocks, those
    of a user's own files, and those whose files entered at a centre that only servers reach.

    Parameters
    ----------
    catalogue
        The archive.
    block
        The block.

    Raises
    ------
    StorageError
        If the manifest cannot be written on site; the block stays open.
    UnreachableError
        If the catalogue does not answer.
    NotFoundError
        If there is no such block.
    """
    held = catalogue.products_in(block)
    manifest = BlockManifest(block, tuple(product for product in held if not is_manifest(product.lfn.text)))
    if manifest.files and not block.scope.startswith(_USERS) and not _is_there(manifest, held):
        name = BlockName.parse(block.name)
        latest = manifest_of(held)
        number = 1 if latest is None else ManifestName.parse(latest.lfn.text).number + 1
        lfn = ManifestName(block=name, number=number).lfn
        storage = _storage(catalogue, name, manifest)
        if storage.prefix:
            root = Path(storage.prefix)
            _write(Path(path_of_lfn(lfn, root)), manifest.to_bytes(), root)
            try:
                catalogue.register(block, storage.name, [manifest.registration(lfn)])
            except BlockClosedError:
                _LOG.debug("block %s is closed already", block)
        else:
            _LOG.warning("block %s gets no manifest: %s is no folder of this machine", block, storage.name)
    catalogue.close_block(block)


def manifest_of(held: Iterable[Product]) -> Product | None:
    """Return the manifest that counts among what a block holds: the one with the highest number."""
    manifests = (product for product in held if is_manifest(product.lfn.text))
    return max(manifests, key=lambda product: ManifestName.parse(product.lfn.text).number, default=None)


def _is_there(manifest: BlockManifest, held: Iterable[Product]) -> bool:
    """Return whether the block holds this manifest already."""
    latest = manifest_of(held)
    if latest is None:
        return False
    wanted = manifest.registration(latest.lfn)
    return (latest.size_bytes, latest.adler32) == (wanted.size_bytes, wanted.adler32)


def _storage(catalogue: Sealing, name: BlockName, manifest: BlockManifest) -> Rse:
    """Return the storage element where the files of a block entered the archive."""
    rses = catalogue.rses()
    if not name.origin:
        return onsite_of(rses, name.site)
    found = [rse for rse in rses.values() if rse.centre == name.origin]
    if len(found) > 1:
        first = manifest.files[0].lfn
        held = {copy.rse for copy in catalogue.files([first])[first].replicas}
        found = [rse for rse in found if rse.name in held]
    if not found:
        raise UsageError(f"block {name} entered at {name.origin}, and nothing of it is there")
    return found[0]


def onsite_of(rses: Mapping[str, Rse], site: Site) -> Rse:
    """Return the storage element of `site`.

    Raises
    ------
    UsageError
        If there is none, or more than one.
    """
    found = [rse for rse in rses.values() if rse.site == site]
    if len(found) != 1:
        raise UsageError(f"site {site} needs one storage element with the attribute site={site}, and has {len(found)}")
    return found[0]


def _write(path: Path, content: bytes, root: Path) -> None:
    """Write a manifest in one step, unless it is there; two processes that do it at once write the same."""
    part = path.with_name(f".{path.name}.part")
    try:
        if not root.is_dir():
            raise FileNotFoundError(2, f"the storage root {root} is not there")
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(str(part), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(file, left) :]
            os.ftruncate(file, len(content))
            os.fsync(file)
        finally:
            os.close(file)
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise StorageError(path, "writing the manifest of a block", error) from error


def _sync(folder: Path) -> None:
    """Have the disk keep the names in a folder."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
