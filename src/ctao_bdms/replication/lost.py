"""Mark centres as lost, and undo it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ctao_bdms.catalogue import LostStorageCatalogue, StorageCatalogue
from ctao_bdms.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctao_bdms.model import Rse

__all__ = ["mark_centre"]


class _MarkCatalogue(StorageCatalogue, LostStorageCatalogue, Protocol):
    """The catalogue verbs that mark a centre as lost."""


def mark_centre(catalogue: _MarkCatalogue, centre: str, reason: str) -> list[str]:
    """Mark a centre as lost and shut it, or open it again if `reason` is empty; return its storage elements.

    Raises
    ------
    NotFoundError
        If there is no such centre.
    ForbiddenError
        If the account is not the archive's administrator.
    """
    found = [rse.name for rse in _of_centre(catalogue.rses().values(), centre)]
    for rse in found:
        catalogue.mark_lost(rse, reason)
    return found


def _of_centre(rses: Iterable[Rse], centre: str) -> list[Rse]:
    """Return the storage elements of a centre."""
    found = [rse for rse in rses if rse.centre == centre and centre]
    if not found:
        names = ", ".join(sorted({rse.centre for rse in rses if rse.centre}))
        raise NotFoundError(f"there is no centre {centre!r}; there are {names or 'none'}")
    return found
