"""The end of a block: its manifest, and its closing."""

from ctao_bdms.sealing.agree import differences, disagreements
from ctao_bdms.sealing.manifest import BlockManifest
from ctao_bdms.sealing.seal import Sealing, manifest_of, onsite_of, seal

__all__ = ["BlockManifest", "Sealing", "differences", "disagreements", "manifest_of", "onsite_of", "seal"]
