"""Where the copies of files are, the best one first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.errors import NotFoundError
from ctao_bdms.model import ArchivedFile, Lfn, Replica, ReplicaState
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.catalogue import Lookup
    from ctao_bdms.model import Rse

__all__ = ["Copies", "Copy", "known_files", "locate", "ranked"]


@attrs.frozen(kw_only=True)
class Copy:
    """One copy of a file.

    Attributes
    ----------
    lfn
        The file.
    size_bytes, adler32
        Its size in bytes and its Adler-32.
    rse, where
        The storage element, and the centre or site that it belongs to.
    state
        What the catalogue says of the copy.
    pfn
        The URL where the bytes lie.
    """

    lfn: Lfn
    size_bytes: int
    adler32: str
    rse: str
    where: str
    state: ReplicaState
    pfn: str


class Copies(Rows[Copy]):
    """Copies of files, one row each."""

    columns: ClassVar = (("where", "where"), ("rse", "rse"), ("state", "state"), ("adler32", "adler32"), ("pfn", "pfn"))


def ranked(file: ArchivedFile, rses: Mapping[str, Rse], near: str = "") -> list[Replica]:
    """Return the usable copies of `file`, the best first.

    Those at the site or centre `near` come first, then those at data centres, then those on site, whose uplink is for
    new data.
    """

    def cost(replica: Replica) -> tuple[bool, bool, str]:
        rse = rses[replica.rse]
        return near not in {rse.centre, rse.site}, rse.is_onsite, rse.name

    usable = [r for r in file.replicas if r.state is ReplicaState.AVAILABLE and r.pfn and r.rse in rses]
    return sorted(usable, key=cost)


def locate(catalogue: Lookup, rses: Mapping[str, Rse], lfns: Iterable[Lfn], near: str = "") -> Copies:
    """Return all copies of `lfns`: of each the usable ones first, the best at the front.

    Raises
    ------
    NotFoundError
        If the archive does not know one of the names.
    """
    files = known_files(catalogue, lfns)
    return Copies(_copy(file, replica, rses) for file in files for replica in _all(file, rses, near))


def known_files(catalogue: Lookup, lfns: Iterable[Lfn]) -> list[ArchivedFile]:
    """Return what the archive knows of `lfns`, each once, in their order.

    Raises
    ------
    NotFoundError
        If it does not know one of them.
    """
    wanted = list(dict.fromkeys(lfns))
    files = catalogue.files(wanted)
    unknown = [str(lfn) for lfn in wanted if lfn not in files]
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise NotFoundError(f"the archive does not know {', '.join(unknown[:5])}{more}")
    return [files[lfn] for lfn in wanted]


def _all(file: ArchivedFile, rses: Mapping[str, Rse], near: str) -> list[Replica]:
    best = ranked(file, rses, near)
    return [*best, *(replica for replica in file.replicas if replica not in best)]


def _copy(file: ArchivedFile, replica: Replica, rses: Mapping[str, Rse]) -> Copy:
    rse = rses.get(replica.rse)
    return Copy(
        lfn=file.lfn,
        size_bytes=file.size_bytes,
        adler32=file.adler32,
        rse=replica.rse,
        where=(rse.centre or rse.site) if rse else "",
        state=replica.state,
        pfn=replica.pfn,
    )
