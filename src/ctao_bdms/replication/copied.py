"""Which files have all their copies, asked file by file: a block of which some are stuck says it of none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ctao_bdms.catalogue import KnowStorage, Lookup
from ctao_bdms.model import ReplicaState
from ctao_bdms.naming import BlockName
from ctao_bdms.replication.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctao_bdms.model import Did, Lfn

__all__ = ["Copied", "copied"]


class Copied(KnowStorage, Lookup, Protocol):
    """What is asked of a catalogue."""


def copied(catalogue: Copied, block: Did, lfns: Iterable[Lfn], policy: Policy | None = None) -> set[Lfn]:
    """Return those files of a block that have a good copy at as many centres as must keep it.

    Parameters
    ----------
    catalogue
        The archive.
    block
        The block.
    lfns
        Files of it. One that the catalogue does not know any more has no copy.
    policy
        How products are kept; by default as the observatory's own policy says.
    """
    copies = (policy or Policy.load()).retention(BlockName.parse(block.name).retention).copies
    rses = catalogue.rses()
    found = set()
    for lfn, file in catalogue.files(lfns).items():
        good = {replica.rse for replica in file.replicas if replica.state is ReplicaState.AVAILABLE} & rses.keys()
        if len({rses[name].centre for name in good} - {""}) >= copies:
            found.add(lfn)
    return found
