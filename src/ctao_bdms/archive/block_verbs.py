"""The methods of `bdms.blocks`: manifests of blocks, and evidence of good copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms import preservation
from ctao_bdms.naming import block_did

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.archive.connected import Connected
    from ctao_bdms.blocks import BlockManifest
    from ctao_bdms.model import Did

__all__ = ["BlockVerbs"]


class BlockVerbs:
    """The manifests of blocks and the evidence that is kept with them."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    def manifest(self, block: Did | str, *, rse: str = "") -> BlockManifest:
        """Return the manifest of a block at `rse`, by default the first readable copy."""
        return preservation.read_manifest(self._connected.catalogue, block_did(block), rse)

    def check_manifests(
        self,
        block: Did | str,
        *,
        rse: str = "",
        deep: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> preservation.ManifestChecks:
        """Compare the manifest of a block with the catalogue, and its files if `deep`.

        Parameters
        ----------
        block
            The block.
        rse
            The storage element whose copy is read; by default each that has one.
        deep
            Whether every file is read back as well.
        on_bytes
            Called with the number of bytes after each piece that was read.
        """
        here = self._connected
        return preservation.check_manifests(
            here.catalogue, block_did(block), rse, now=here.now, deep=deep, on_bytes=on_bytes
        )

    def evidence(self, block: Did | str) -> preservation.BlockProofs:
        """Return the evidence of a block: who verified which copy, how, and when."""
        return preservation.recorded_proofs(self._connected.catalogue, block_did(block))
