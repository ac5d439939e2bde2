"""The disk on site: bytes to free, and remaining files of deleted blocks."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.catalogue import BlockCatalogue, FileCatalogue
from ctao_bdms.disk_space import disk_space
from ctao_bdms.naming import path_of_lfn
from ctao_bdms.preservation.space_release import Decision, SpaceRelease, SpaceReleases

if TYPE_CHECKING:
    from ctao_bdms.model import Rse

__all__ = ["above_low_water", "left_on_site"]


class _OnsiteCatalogue(FileCatalogue, BlockCatalogue, Protocol):
    """The catalogue verbs that find what is left on site."""


def above_low_water(root: Path, low_water: float) -> float:
    """Return the bytes to free until a file system is filled to `low_water` (0 to 1).

    Raises
    ------
    OSError
        If the file system cannot be asked, or does not tell its size.
    """
    space = disk_space(root)
    if space is None:
        raise OSError(errno.ENOTSUP, "the file system does not tell its size", str(root))
    return max(0.0, space.total_bytes - space.free_bytes - low_water * space.total_bytes)


def left_on_site(catalogue: _OnsiteCatalogue, onsite: Rse, rows: SpaceReleases) -> SpaceReleases:
    """Return what is still on site of blocks whose rules have ended.

    Returns
    -------
    SpaceReleases
        The same rows; ``released`` where neither the catalogue nor the disk has a file left.
    """
    return SpaceReleases(_left(catalogue, onsite, row) for row in rows)


def _left(catalogue: _OnsiteCatalogue, onsite: Rse, row: SpaceRelease) -> SpaceRelease:
    lfns = [product.lfn for product in catalogue.products_in(row.did)]
    known = sum(file.at(onsite.name) is not None for file in catalogue.files(lfns).values())
    lying = sum(Path(path_of_lfn(lfn, Path(onsite.prefix))).exists() for lfn in lfns)
    if not known and not lying:
        return attrs.evolve(row, verdict=Decision.RELEASED, why="nothing of it is on site")
    why = f"{known} files are on site by the catalogue, {lying} on disk; Rucio's judge-cleaner and reaper delete them"
    return attrs.evolve(row, verdict=Decision.ENDED, why=why)
