"""Rucio's protocol for files of embedded storage elements, used by server and clients.

Rucio loads the class by its name in the protocol settings of the storage element.
"""

from __future__ import annotations

from pathlib import Path

from rucio.common.exception import ServiceUnavailable, SourceNotFound
from rucio.rse.protocols import posix

__all__ = ["Default"]


class Default(posix.Default):  # type: ignore[misc]
    """Rucio's protocol for local files, extended to names with folders, and to errors of a deletion."""

    def get(self, pfn: str, dest: str, transfer_timeout: int | None = None) -> None:
        """Copy the file `pfn` to `dest`; create missing folders."""
        Path(dest).parent.mkdir(parents=True, exist_ok=True)
        super().get(pfn, dest, transfer_timeout)

    def delete(self, pfn: str) -> None:
        """Delete the file `pfn`.

        Rucio's own class ignores all errors but a missing file, so the reaper would forget files that are still there.

        Raises
        ------
        ServiceUnavailable
            If the file cannot be deleted now, for instance because the storage is read-only or not mounted.
        SourceNotFound
            If there is no such file.
        """
        try:
            Path(self.pfn2path(pfn)).unlink()
        except FileNotFoundError as error:
            if not Path(self.attributes["prefix"]).is_dir():
                raise ServiceUnavailable(error) from error
            raise SourceNotFound(error) from error
        except OSError as error:
            raise ServiceUnavailable(error) from error
