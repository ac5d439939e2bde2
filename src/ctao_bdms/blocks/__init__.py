"""Close blocks, and write, read and compare their manifests."""

from ctao_bdms.blocks.close import ClosingCatalogue, close_block, manifest_of, onsite_of
from ctao_bdms.blocks.compare import differences, disagreements
from ctao_bdms.blocks.manifest import BlockManifest

__all__ = [
    "BlockManifest",
    "ClosingCatalogue",
    "differences",
    "disagreements",
    "manifest_of",
    "onsite_of",
    "close_block",
]
