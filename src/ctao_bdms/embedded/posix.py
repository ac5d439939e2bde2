"""Rucio's protocol for files of embedded storage elements, used by server and clients.

Rucio loads the class by its name in the protocol settings of the storage element.
"""

from __future__ import annotations

from pathlib import Path

from rucio.rse.protocols import posix

__all__ = ["Default"]


class Default(posix.Default):  # type: ignore[misc]
    """Rucio's protocol for local files, extended to names with folders."""

    def get(self, pfn: str, dest: str, transfer_timeout: int | None = None) -> None:
        """Copy the file `pfn` to `dest`; create missing folders."""
        Path(dest).parent.mkdir(parents=True, exist_ok=True)
        super().get(pfn, dest, transfer_timeout)
