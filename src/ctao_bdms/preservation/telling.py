"""Telling the archive of copies that have rotted, so that it repairs them.

A copy that is declared bad is deleted and made again from another one. The last copy of a file is never declared bad:
the archive would give the file up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.catalogue import DeclareBad, KnowStorage
from ctao_bdms.errors import CatalogueError, ForbiddenError
from ctao_bdms.model import ReplicaState
from ctao_bdms.preservation.fixity import read_back
from ctao_bdms.preservation.verifiers import VERIFIERS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from ctao_bdms.model import ArchivedFile
    from ctao_bdms.preservation.fixity import Evidence
    from ctao_bdms.preservation.verifiers import Verifier

__all__ = ["Tells", "tell"]


class Tells(KnowStorage, DeclareBad, Protocol):
    """What telling of copies asks of a catalogue."""


def tell(
    catalogue: Tells,
    file: ArchivedFile,
    found: Evidence,
    *,
    now: Callable[[], dt.datetime],
    on_bytes: Callable[[int], None] = lambda _: None,
    sha256: str = "",
    verifiers: Mapping[str, Verifier] = VERIFIERS,
) -> str:
    """Declare a rotten copy bad if another one was read back just now and is sound, else suspicious.

    An account that may not declare it bad declares it suspicious, and learns the command for those who may. Copies that
    the archive does not count on, and those that are not rotten, are not told.

    Parameters
    ----------
    catalogue
        The archive.
    file
        The file, with its copies.
    found
        What reading back the copy has shown.
    now
        The clock.
    on_bytes
        Called with the number of bytes after each piece of another copy that was read.
    sha256
        The SHA-256 of the file, if it is known.
    verifiers
        What reads copies, by the scheme of their URL.

    Returns
    -------
    str
        What was told, or why nothing was, as the end of a sentence; empty if there is nothing to tell.
    """
    copy = file.at(found.rse)
    if not found.is_rotten or copy is None or copy.state is not ReplicaState.AVAILABLE:
        return ""
    said = "no other copy is proven sound: "
    try:
        rses = catalogue.rses()
        readable = {rse.name for rse in rses.values() if rse.can_be_read} - {found.rse}
        others = tuple(r for r in file.replicas if r.rse in readable and r.state is ReplicaState.AVAILABLE)
        beside, known = [attrs.evolve(file, replicas=others)], {file.lfn: sha256}
        read = read_back(beside, now=now, on_bytes=on_bytes, sha256=known, verifiers=verifiers)
        if any(not each.problem for each in read):
            try:
                catalogue.declare_bad(file.lfn, found.rse, found.problem)
            except ForbiddenError:
                command = f"rucio replica state update bad {copy.pfn} --reason 'other bytes'"
                said = f"this account may not declare it bad, an archive administrator can: {command}; "
            else:
                return "it was declared bad"
        catalogue.declare_suspicious(file.lfn, found.rse, found.problem)
    except CatalogueError as error:
        return f"{said}the archive could not be told: {error}"
    return f"{said}it was declared suspicious"
