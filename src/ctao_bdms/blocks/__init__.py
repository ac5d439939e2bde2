"""The end of a block: its manifest, and its closing."""

from ctao_bdms.blocks.agree import differences, disagreements
from ctao_bdms.blocks.close import Sealing, manifest_of, onsite_of, seal
from ctao_bdms.blocks.manifest import BlockManifest

__all__ = [
    "BlockManifest",
    "Sealing",
    "differences",
    "disagreements",
    "manifest_of",
    "onsite_of",
    "seal",
]
