"""Telling the archive of copies that could not be used."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.access.fetched import Fault, Trouble
from ctao_bdms.errors import CatalogueError, ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctao_bdms.catalogue import DeclareBad
    from ctao_bdms.model import Lfn

__all__ = ["declare"]

_LOG = logging.getLogger(__name__)


def declare(catalogue: DeclareBad, lfn: Lfn, troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """Declare copies of a file bad or suspicious; whoever wants the file is not held up by it.

    An account that may not declare a copy bad declares it suspicious, and learns the command for those who may. Copies
    that are out of reach are not declared: that says nothing of them.

    Parameters
    ----------
    catalogue
        The archive.
    lfn
        The file.
    troubles
        What is wrong with its copies.

    Returns
    -------
    tuple of Trouble
        The same, with what was told.
    """
    told = tuple(attrs.evolve(trouble, told=_tell(catalogue, lfn, trouble)) for trouble in troubles)
    for trouble in told:
        _LOG.warning("the copy of %s at %s", lfn, trouble)
    return told


def _tell(catalogue: DeclareBad, lfn: Lfn, trouble: Trouble) -> str:
    """Tell the archive of one copy, and say what was told."""
    may_not = ""
    try:
        if trouble.fault is Fault.BAD:
            try:
                catalogue.declare_bad(lfn, trouble.rse, trouble.reason)
            except ForbiddenError:
                command = f"rucio replica state update bad {trouble.pfn} --reason 'other bytes'"
                may_not = f"this account may not declare it bad, tell an operator of the centre: {command}"
            else:
                return "it was declared bad"
        if trouble.fault is not Fault.OUT_OF_REACH:
            catalogue.declare_suspicious(lfn, trouble.rse, trouble.reason)
            return may_not or "it was declared suspicious"
    except CatalogueError as error:
        return may_not or f"it could not be declared {trouble.fault}: {error}"
    return ""
