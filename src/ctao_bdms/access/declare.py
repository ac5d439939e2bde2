"""Report replicas that could not be used to the catalogue."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.access.fetched import Fault, Trouble
from ctao_bdms.catalogue import BadReplicaCatalogue, ContentCatalogue
from ctao_bdms.catalogue.bad import report_bad, report_suspicious
from ctao_bdms.model import ReplicaState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.model import Lfn, Rse

__all__ = ["DeclareCatalogue", "declare"]

_LOG = logging.getLogger(__name__)
_NOT_BAD = (
    "it was not declared bad, because no other copy was read soundly, and Rucio gives up a file whose last copy is bad "
    "and deletes its bytes; fetch it on another machine, and if it is wrong there too, tell an operator of the centre, "
    "who must look at the bytes before it is declared bad; "
)


class DeclareCatalogue(ContentCatalogue, BadReplicaCatalogue, Protocol):
    """The catalogue verbs that a retrieval needs, with those that report bad replicas."""


def declare(
    catalogue: DeclareCatalogue, rses: Mapping[str, Rse], lfn: Lfn, troubles: Iterable[Trouble], sound: str
) -> tuple[Trouble, ...]:
    """Declare replicas of a file bad or suspicious, without holding up the retrieval.

    A copy is declared bad only if another one was read soundly, so that this machine can read, and Rucio has something
    to make a new copy from; otherwise it is declared suspicious. So does an account that may not declare a copy bad,
    and it learns the command for those who may. Copies that are out of reach are not declared: that says nothing of
    them.

    Parameters
    ----------
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


def _tell(catalogue: DeclareCatalogue, rses: Mapping[str, Rse], lfn: Lfn, trouble: Trouble, *, sound: str) -> str:
    """Report one replica, and return what was reported."""
    rse, pfn, reason = trouble.rse, trouble.pfn, trouble.reason
    match trouble.fault:
        case Fault.BAD:
            is_kept = functools.partial(_keeps, catalogue, rses, lfn, sound)
            return report_bad(catalogue, lfn, rse, pfn, reason, has_sound=is_kept, no_sound=_NOT_BAD)
        case Fault.SUSPICIOUS:
            return report_suspicious(catalogue, lfn, rse, reason)
        case Fault.OUT_OF_REACH:
            return ""


def _keeps(catalogue: DeclareCatalogue, rses: Mapping[str, Rse], lfn: Lfn, sound: str) -> bool:
    """Return whether the replica that was read soundly is still available by the catalogue."""
    if not sound or not rses[sound].can_be_read:
        return False
    file = catalogue.content([lfn]).get(lfn)
    copy = file.at(sound) if file else None
    return copy is not None and copy.state is ReplicaState.AVAILABLE
