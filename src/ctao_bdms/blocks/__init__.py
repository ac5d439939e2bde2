"""Close blocks, and write, read and compare their manifests."""

from ctao_bdms.blocks.close import ClosingCatalogue, close_block, manifest_of, onsite_of
from ctao_bdms.blocks.compare import compare_manifest, compare_stored_manifest
from ctao_bdms.blocks.manifest import BlockManifest

__all__ = [
    "BlockManifest",
    "ClosingCatalogue",
    "close_block",
    "compare_manifest",
    "compare_stored_manifest",
    "manifest_of",
    "onsite_of",
]
