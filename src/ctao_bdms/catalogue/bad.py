"""Report unusable replicas: bad, so that the archive repairs them, or suspicious.

Rucio deletes a bad replica and makes a new one from another replica. If the last replica of a file is bad, Rucio marks
the file as lost and deletes its bytes. So the last replica is never declared bad.
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
    """Declare a corrupt replica bad if another one is sound, else suspicious.

    If the account may not declare it bad, declare it suspicious and report the command for an administrator.

    Parameters
    ----------
    pfn
        The URL of the replica.
    reason
        What is wrong with the replica.
    has_sound
        Returns whether another replica is proven sound and can be read.
    no_sound
        The text before "it was declared suspicious" if there is none.

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
