"""Telling the archive of copies that could not be used."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ctao_bdms.access.fetched import Fault
from ctao_bdms.errors import CatalogueError, ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctao_bdms.access.fetched import Trouble
    from ctao_bdms.catalogue import DeclareBad
    from ctao_bdms.model import Lfn

__all__ = ["declare"]

_LOG = logging.getLogger(__name__)


def declare(catalogue: DeclareBad, lfn: Lfn, troubles: Iterable[Trouble]) -> None:
    """Declare copies of a file bad or suspicious; whoever wants the file is not held up by it.

    An account that may not declare a copy bad declares it suspicious, and the warning names the command for those who
    may. Copies that are out of reach are not declared: that says nothing of them.
    """
    for trouble in troubles:
        try:
            if trouble.fault is Fault.BAD:
                _declare_bad(catalogue, lfn, trouble)
            elif trouble.fault is Fault.SUSPICIOUS:
                catalogue.declare_suspicious(lfn, trouble.rse, trouble.reason)
        except CatalogueError as error:
            _LOG.warning("the copy of %s at %s could not be declared %s: %s", lfn, trouble.rse, trouble.fault, error)


def _declare_bad(catalogue: DeclareBad, lfn: Lfn, trouble: Trouble) -> None:
    try:
        catalogue.declare_bad(lfn, trouble.rse, trouble.reason)
    except ForbiddenError:
        _LOG.warning(
            "the copy of %s at %s is bad, and this account may only call it suspicious; tell an operator of the "
            "centre: rucio replica state update bad %s --reason 'other bytes'",
            *(lfn, trouble.rse, trouble.pfn),
        )
        catalogue.declare_suspicious(lfn, trouble.rse, trouble.reason)
    else:
        _LOG.warning("the copy of %s at %s was declared bad; Rucio makes a new one", lfn, trouble.rse)
