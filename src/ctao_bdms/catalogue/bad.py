"""Report replicas that cannot be used: bad, so that the archive repairs them, or suspicious.

Rucio deletes a bad replica and copies the file again from another one. If the last replica of a file is bad, Rucio
gives up the file and deletes its bytes: the last one is never declared bad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.errors import CatalogueError, ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.catalogue.port import BadReplicaCatalogue
    from ctao_bdms.model import Lfn

__all__ = ["report_bad", "report_suspicious"]


def report_bad(
    catalogue: BadReplicaCatalogue,
    lfn: Lfn,
    rse: str,
    pfn: str,
    reason: str,
    *,
    has_sound: Callable[[], bool],
    no_sound: str,
) -> str:
    """Declare a replica with wrong bytes bad if another one is sound, else suspicious.

    An account that may not declare it bad declares it suspicious, and gets the command for those who may.

    Parameters
    ----------
    lfn, rse, pfn
        The file, the storage element of the replica, and its URL.
    reason
        What is wrong with it.
    has_sound
        Returns whether another replica is proven sound, and can be read.
    no_sound
        What is said before "it was declared suspicious" if none is.

    Returns
    -------
    str
        What was done, as the end of a sentence.
    """
    try:
        if has_sound():
            catalogue.declare_bad(lfn, rse, reason)
            return "it was declared bad"
        before = no_sound
    except ForbiddenError:
        command = f"rucio replica state update bad {pfn} --reason 'other bytes'"
        before = f"this account may not declare it bad, an archive administrator can: {command}; "
    except CatalogueError as error:
        return f"it could not be declared bad: {error}"
    return before + report_suspicious(catalogue, lfn, rse, reason)


def report_suspicious(catalogue: BadReplicaCatalogue, lfn: Lfn, rse: str, reason: str) -> str:
    """Declare a replica suspicious; return what was done, as the end of a sentence."""
    try:
        catalogue.declare_suspicious(lfn, rse, reason)
    except CatalogueError as error:
        return f"it could not be declared suspicious: {error}"
    return "it was declared suspicious"
