"""Closing a block: its manifest is written where its files entered, registered in it, and then the block is closed.

What the catalogue says is in the block decides, never what somebody remembers: a crash between any two steps is
repaired by doing it again, with the same bytes under the same name. Only files that entered the block after its
manifest was written, by a request that was not answered, make another one, with the next number: nothing is replaced.
"""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Protocol

from ctao_bdms.blocks.manifest import BlockManifest
from ctao_bdms.catalogue import FindBlocks, KnowStorage, Lookup, Register
from ctao_bdms.errors import BlockClosedError, StorageError, UsageError
from ctao_bdms.naming import BlockName, ManifestName, is_manifest, path_of_lfn
from ctao_bdms.storage import FileSink, open_sink, place_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ctao_bdms.model import Did, Lfn, Product, Rse, Site
    from ctao_bdms.storage import Sink

__all__ = ["Sealing", "manifest_of", "onsite_of", "seal"]

_LOG = logging.getLogger(__name__)
#: How the scopes of users begin: what lies there is kept for a while only, and has no manifests.
_USERS = "user."


class Sealing(KnowStorage, FindBlocks, Register, Lookup, Protocol):
    """What closing a block asks of a catalogue."""


def seal(catalogue: Sealing, block: Did) -> None:
    """Write the manifest of a block, register it in the block, and close the block for ever.

    It is safe to repeat, and a block that is closed is left as it is. Closed without a manifest are empty blocks, those
    of a user's own files, and those whose files entered at a storage element that cannot be written from here.

    Parameters
    ----------
    catalogue
        The archive.
    block
        The block.

    Raises
    ------
    StorageError
        If the manifest cannot be written; the block stays open.
    UnreachableError
        If the catalogue does not answer.
    NotFoundError
        If there is no such block.
    """
    taken = 0
    while (manifest := _missing(block, held := catalogue.products_in(block))) is not None:
        storage = _storage(catalogue, BlockName.parse(block.name), manifest)
        if (sink := _sink(storage)) is None:
            _LOG.warning("block %s gets no manifest: %s cannot be written from here", block, storage.name)
            break
        number = max(taken, _number(manifest_of(held))) + 1
        lfn = ManifestName(block=BlockName.parse(block.name), number=number).lfn
        if not _write(sink, storage, lfn, manifest.to_bytes()):
            # Somebody else has written it who saw other files, and may register it at any moment.
            taken = number
            continue
        try:
            catalogue.register(block, storage.name, [manifest.registration(lfn)])
        except BlockClosedError:
            _LOG.debug("block %s is closed already", block)
        break
    catalogue.close_block(block)


def manifest_of(held: Iterable[Product]) -> Product | None:
    """Return the manifest that counts among what a block holds: the one with the highest number."""
    return max((product for product in held if is_manifest(product.lfn.text)), key=_number, default=None)


def _number(manifest: Product | None) -> int:
    """Return the number of a manifest; 0 if there is none."""
    return 0 if manifest is None else ManifestName.parse(manifest.lfn.text).number


def _missing(block: Did, held: Sequence[Product]) -> BlockManifest | None:
    """Return the manifest that a block needs and does not hold; None if it needs none, or holds it."""
    manifest = BlockManifest(block, tuple(product for product in held if not is_manifest(product.lfn.text)))
    if not manifest.files or block.scope.startswith(_USERS):
        return None
    latest = manifest_of(held)
    if latest is None:
        return manifest
    wanted = manifest.registration(latest.lfn)
    is_there = (latest.size_bytes, latest.adler32) == (wanted.size_bytes, wanted.adler32)
    return None if is_there else manifest


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


def _sink(storage: Rse) -> Sink | None:
    """Return the way to write where the files of a block entered; None if there is none from here."""
    if storage.prefix:
        return FileSink(Path(storage.prefix))
    try:
        return open_sink(storage)
    except UsageError:
        return None


def _write(sink: Sink, storage: Rse, lfn: Lfn, content: bytes) -> bool:
    """Write a manifest; False if other bytes lie under its name. Two that do it at once write the same."""
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
