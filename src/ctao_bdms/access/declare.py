"""Telling the archive of copies that could not be used."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.access.fetched import Fault, Trouble
from ctao_bdms.errors import CatalogueError, ForbiddenError
from ctao_bdms.model import ReplicaState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.access.retrieve import Holdings
    from ctao_bdms.model import Lfn, Rse

__all__ = ["declare"]

_LOG = logging.getLogger(__name__)
_NOT_BAD = (
    "it was not declared bad, because no other copy was read soundly, and Rucio gives up a file whose last copy is bad "
    "and deletes its bytes; fetch it on another machine, and if it is wrong there too, tell an operator of the centre, "
    "who must look at the bytes before anything is declared"
)


def declare(
    catalogue: Holdings, rses: Mapping[str, Rse], lfn: Lfn, troubles: Iterable[Trouble], sound: str
) -> tuple[Trouble, ...]:
    """Declare copies of a file bad or suspicious; whoever wants the file is not held up by it.

    A copy is declared bad only if another one was read soundly, so that this machine can read, and Rucio has something
    to make a new copy from; otherwise it is declared suspicious. So does an account that may not declare a copy bad,
    and it learns the command for those who may. Copies that are out of reach are not declared: that says nothing of
    them.

    Parameters
    ----------
    catalogue, rses
        The archive and its storage elements.
    lfn
        The file.
    troubles
        What is wrong with its copies.
    sound
        The storage element whose copy was read soundly from its begin to its end; empty if none was.

    Returns
    -------
    tuple of Trouble
        The same, with what was told.
    """
    told = tuple(attrs.evolve(trouble, told=_tell(catalogue, rses, lfn, trouble, sound=sound)) for trouble in troubles)
    for trouble in told:
        _LOG.warning("the copy of %s at %s", lfn, trouble)
    return told


def _tell(catalogue: Holdings, rses: Mapping[str, Rse], lfn: Lfn, trouble: Trouble, *, sound: str) -> str:
    """Tell the archive of one copy, and say what was told."""
    not_bad = ""
    try:
        if trouble.fault is Fault.BAD:
            not_bad = _declared_bad(catalogue, lfn, trouble) if _keeps(catalogue, rses, lfn, sound) else _NOT_BAD
            if not not_bad:
                return "it was declared bad"
        if trouble.fault is not Fault.OUT_OF_REACH:
            catalogue.declare_suspicious(lfn, trouble.rse, trouble.reason)
            return not_bad or "it was declared suspicious"
    except CatalogueError as error:
        return not_bad or f"it could not be declared {trouble.fault}: {error}"
    return ""


def _declared_bad(catalogue: Holdings, lfn: Lfn, trouble: Trouble) -> str:
    """Declare a copy bad; say who can do that if this account may not."""
    try:
        catalogue.declare_bad(lfn, trouble.rse, trouble.reason)
    except ForbiddenError:
        command = f"rucio replica state update bad {trouble.pfn} --reason 'other bytes'"
        return f"this account may not declare it bad, tell an operator of the centre: {command}"
    return ""


def _keeps(catalogue: Holdings, rses: Mapping[str, Rse], lfn: Lfn, sound: str) -> bool:
    """Say whether the file has, as the catalogue sees it now, a copy that was read soundly and can be read again."""
    if not sound or not rses[sound].can_be_read:
        return False
    file = catalogue.content([lfn]).get(lfn)
    copy = file.at(sound) if file else None
    return copy is not None and copy.state is ReplicaState.AVAILABLE
