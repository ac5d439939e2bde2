"""Compare the manifest of a block with the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.blocks.close import manifest_of
from ctao_bdms.blocks.manifest import BlockManifest
from ctao_bdms.errors import ManifestError
from ctao_bdms.naming import is_manifest, path_of_lfn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctao_bdms.model import Did, Product

__all__ = ["compare_manifest", "compare_stored_manifest"]


def compare_stored_manifest(block: Did, held: Sequence[Product], root: Path) -> Iterator[str]:
    """Compare the manifest below a storage root with the catalogue; yield differences.

    Parameters
    ----------
    held
        The content of the block by the catalogue, with the manifest. An empty block needs no manifest.
    root
        The storage root of the copy that is read.
    """
    if not held:
        return
    latest = manifest_of(held)
    if latest is None:
        yield f"{block}: it has no manifest"
        return
    path = Path(path_of_lfn(latest.lfn, root))
    try:
        manifest = BlockManifest.parse(path.read_bytes())
    except (ManifestError, OSError) as error:
        yield f"{path}: {error}"
        return
    yield from (f"{path}: {difference}" for difference in compare_manifest(manifest, block, held))


def compare_manifest(manifest: BlockManifest, block: Did, held: Sequence[Product]) -> Iterator[str]:
    """Compare a manifest with the catalogue; yield the differences.

    Parameters
    ----------
    block
        The block that the manifest should describe.
    held
        The content of the block by the catalogue; manifests in it are ignored.
    """
    if manifest.block != block:
        yield f"it is the manifest of {manifest.block}"
    said = {file.lfn: file for file in manifest.files}
    known = {product.lfn: product for product in held if not is_manifest(product.lfn.text)}
    yield from (f"it names {lfn}, which is not in the block" for lfn in sorted(said.keys() - known.keys()))
    yield from (f"it does not name {lfn}, which is in the block" for lfn in sorted(known.keys() - said.keys()))
    for lfn in sorted(said.keys() & known.keys()):
        ours, theirs = said[lfn], known[lfn]
        if (ours.size_bytes, ours.adler32) != (theirs.size_bytes, theirs.adler32):
            yield (
                f"it says {ours.size_bytes} bytes, adler32 {ours.adler32} of {lfn}, and the catalogue "
                f"{theirs.size_bytes}, {theirs.adler32}"
            )
        keys = ours.metadata.keys() | theirs.metadata.keys()
        other = sorted(key for key in keys if ours.metadata.get(key) != theirs.metadata.get(key))
        if other:
            yield f"it says other metadata of {lfn} than the catalogue: {', '.join(other)}"
