"""Access to the files of the embedded storage elements, for Rucio's server and clients.

Rucio loads the class by the name that stands in the storage element's protocol.
"""

from __future__ import annotations

from pathlib import Path

from rucio.rse.protocols import posix

__all__ = ["Default"]


class Default(posix.Default):  # type: ignore[misc]
    """Rucio's own access to local files, which does not fail where a name has folders in it."""

    def get(self, pfn: str, dest: str, transfer_timeout: int | None = None) -> None:
        """Copy the file `pfn` to `dest`, whose folders are made."""
        Path(dest).parent.mkdir(parents=True, exist_ok=True)
        super().get(pfn, dest, transfer_timeout)
