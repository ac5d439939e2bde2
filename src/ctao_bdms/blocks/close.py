"""Close a block: write its manifest, register the manifest, close the block.

The content of the manifest comes from the catalogue, never from memory: after a crash between any two steps the same
steps are repeated, and write the same bytes under the same name. If a request that timed out registered more files
after the manifest was written, a second manifest with the next number is made; a manifest is never replaced. If it
registered them even after the content was read for the last time, the block is opened again for that manifest.
"""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Protocol

from ctao_bdms.blocks.manifest import BlockManifest
from ctao_bdms.catalogue import BlockCatalogue, FileCatalogue, RegistrationCatalogue, StorageCatalogue
from ctao_bdms.errors import BlockClosedError, ForbiddenError, StorageError, UsageError
from ctao_bdms.naming import BlockName, ManifestName, is_manifest, path_of_lfn
from ctao_bdms.storage import FileSink, open_sink, place_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ctao_bdms.model import Did, Lfn, Product, Rse, Site
    from ctao_bdms.storage import Sink

__all__ = ["ClosingCatalogue", "close_block", "manifest_of", "onsite_of"]

_LOG = logging.getLogger(__name__)
#: Prefix of user scopes. User files are kept for a limited time, and their blocks have no manifests.
_USERS = "user."


class ClosingCatalogue(StorageCatalogue, BlockCatalogue, RegistrationCatalogue, FileCatalogue, Protocol):
    """The catalogue operations that closing a block needs."""


def close_block(catalogue: ClosingCatalogue, block: Did) -> None:
    """Write the manifest of a block, register it in the block, and close the block.

    It is safe to repeat; a closed block whose manifest lists all its files is left as it is. Empty blocks, blocks of
    user files, and blocks whose files entered at a storage element that cannot be written from here are closed without
    a manifest.

    Raises
    ------
    StorageError
        If the manifest cannot be written; the block stays open.
    UnreachableError
        If the catalogue does not answer.
    NotFoundError
        If there is no such block.
    """
    while True:
        can_list = _add_manifest(catalogue, block)
        catalogue.close_block(block)
        # A request that timed out may have registered files between the two.
        if not can_list or _missing(block, catalogue.products_in(block)) is None:
            return
        _LOG.warning("block %s is opened again, because its content changed while it was closed", block)
        try:
            catalogue.reopen_block(block)
        except ForbiddenError as error:
            _LOG.error("block %s is closed, and its manifest does not match its content: %s", block, error)
            return


def _add_manifest(catalogue: ClosingCatalogue, block: Did) -> bool:
    """Write and register the manifest that a block needs; return False if its storage cannot be written from here."""
    taken = 0
    while (manifest := _missing(block, held := catalogue.products_in(block))) is not None:
        storage = _storage(catalogue, BlockName.parse(block.name), manifest)
        if (sink := _sink(storage)) is None:
            _LOG.warning("block %s gets no manifest: %s cannot be written from here", block, storage.name)
            return False
        number = max(taken, _number(manifest_of(held))) + 1
        lfn = ManifestName(block=BlockName.parse(block.name), number=number).lfn
        if not _write(sink, storage, lfn, manifest.to_bytes()):
            # Another process saw other files and wrote this number; it may register it at any moment.
            taken = number
            continue
        try:
            catalogue.register(block, storage.name, [manifest.registration(lfn)])
        except BlockClosedError:
            _LOG.debug("block %s is closed already", block)
        break
    return True


def manifest_of(held: Iterable[Product]) -> Product | None:
    """Return the manifest with the highest number; None if there is none."""
    return max((product for product in held if is_manifest(product.lfn.text)), key=_number, default=None)


def _number(manifest: Product | None) -> int:
    return 0 if manifest is None else ManifestName.parse(manifest.lfn.text).number


def _missing(block: Did, held: Sequence[Product]) -> BlockManifest | None:
    """Return the manifest to be written; None if the block holds it or needs none."""
    manifest = BlockManifest(block, tuple(product for product in held if not is_manifest(product.lfn.text)))
    if not manifest.files or block.scope.startswith(_USERS):
        return None
    latest = manifest_of(held)
    if latest is None:
        return manifest
    wanted = manifest.registration(latest.lfn)
    is_there = (latest.size_bytes, latest.adler32) == (wanted.size_bytes, wanted.adler32)
    return None if is_there else manifest


def _storage(catalogue: ClosingCatalogue, name: BlockName, manifest: BlockManifest) -> Rse:
    """Return the storage element where the files of a block were registered first."""
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
    """Return the on-site storage element of `site`.

    Raises
    ------
    UsageError
        If there is none, or more than one.
    """
    found = [rse for rse in rses.values() if rse.site == site]
    if len(found) != 1:
        raise UsageError(f"site {site} needs one storage element with the attribute site={site}, and has {len(found)}")
    return found[0]


def _sink(storage: Rse) -> Sink | None:
    """Return a sink for a storage element; None if it is not writable from here."""
    if storage.prefix:
        return FileSink(Path(storage.prefix))
    try:
        return open_sink(storage)
    except UsageError:
        return None


def _write(sink: Sink, storage: Rse, lfn: Lfn, content: bytes) -> bool:
    """Write a manifest; return False if another file exists under its name.

    Processes that write it at the same time write the same bytes.
    """
    try:
        if storage.prefix and not Path(storage.prefix).is_dir():
            raise FileNotFoundError(2, f"the storage root {storage.prefix} is not there")
        with NamedTemporaryFile(prefix="bdms-manifest-") as source:
            source.write(content)
            source.flush()
            adler32 = f"{zlib.adler32(content):08x}"
            return place_file(sink, Path(source.name), lfn, size_bytes=len(content), adler32=adler32)
    except OSError as error:
        place = path_of_lfn(lfn, Path(storage.prefix)) if storage.prefix else f"{storage.write_url}{lfn}"
        raise StorageError(place, "writing the manifest of a block", error) from error
