"""Locate the replicas of files, the best one first."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.access.health import Health
from ctao_bdms.errors import UsageError
from ctao_bdms.model import ArchivedFile, Lfn, Replica, ReplicaState
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.catalogue import ContentCatalogue
    from ctao_bdms.model import Rse

__all__ = ["Copies", "Copy", "demand_place", "known_files", "locate", "ranked"]


@attrs.frozen(kw_only=True)
class Copy:
    """One replica of a file.

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
    why
        Why it cannot be read now, whatever its state: its storage element is lost or shut; empty if it is not.
    """

    lfn: Lfn
    size_bytes: int
    adler32: str
    rse: str
    where: str
    state: ReplicaState
    pfn: str
    why: str = ""


class Copies(Rows[Copy]):
    """Replicas of files, one row each."""

    columns: ClassVar = (
        ("where", "where"),
        ("rse", "rse"),
        ("state", "state"),
        ("adler32", "adler32"),
        ("pfn", "pfn"),
        ("why", "why"),
    )


def ranked(file: ArchivedFile, rses: Mapping[str, Rse], near: str = "", health: Health | None = None) -> list[Replica]:
    """Return the usable replicas of `file`, the best first.

    Those at `near` come first, then those at data centres, then those on site, whose uplink is for new data; of these
    the ones of a lower tier, and the ones that failed least of late. Disk comes before tape, unless `near` is that very
    storage element. Where reading keeps failing, one asks late, and last where a storage element is shut or lost.
    """
    known = health or Health()

    def cost(replica: Replica) -> tuple[bool, bool, bool, bool, bool, str, int, str]:
        rse = rses[replica.rse]
        failing, failures = known.is_failing(rse.name), known.failures(rse.name)
        slow = rse.is_tape and rse.name != near
        far = near not in _places(rse)
        return not rse.can_be_read, failing, slow, far, rse.is_onsite, rse.tier, failures, rse.name

    usable = [r for r in file.replicas if r.state is ReplicaState.AVAILABLE and r.pfn and r.rse in rses]
    return sorted(usable, key=cost)


def _places(rse: Rse) -> set[str]:
    """Return the names of the place where a storage element stands."""
    return {rse.name, rse.centre, rse.site} - {""}


def demand_place(rses: Mapping[str, Rse], near: str) -> None:
    """Check that `near` names a place, if it is given.

    Raises
    ------
    UsageError
        If it does not.
    """
    known = sorted({place for rse in rses.values() for place in _places(rse)})
    if near and near not in known:
        nearest = difflib.get_close_matches(near, known, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}"
        raise UsageError(f"{near!r} is no site, centre or storage element; {hint}")


def locate(
    catalogue: ContentCatalogue, rses: Mapping[str, Rse], names: Iterable[Lfn], near: str = "", protocol: str = ""
) -> Copies:
    """Return all replicas of files: for each file the usable ones first, in order of preference.

    Parameters
    ----------
    names
        The files; a dataset or container stands for all files in it.
    near
        The site, centre or storage element whose copies come first.
    protocol
        Only copies that can be reached by this scheme, e.g. ``root``, with their URLs of that scheme.

    Raises
    ------
    NotFoundError
        If the archive does not know one of the names.
    UsageError
        If `near` is no place.
    """
    demand_place(rses, near)
    files = known_files(catalogue, names)
    return Copies(
        _copy(file, replica, rses, url)
        for file in files
        for replica in _all(file, rses, near)
        for url in [_by(replica, protocol)]
        if url or not protocol
    )


def _by(replica: Replica, protocol: str) -> str:
    """Return the URL of a replica for a protocol, by default the preferred one."""
    if not protocol:
        return replica.pfn
    return next((url for url in replica.urls if url.partition("://")[0] == protocol), "")


def known_files(catalogue: ContentCatalogue, names: Iterable[Lfn]) -> list[ArchivedFile]:
    """Return the files that `names` stand for, each once: those named in their order, then those below names.

    Raises
    ------
    NotFoundError
        If the archive does not know one of the names.
    """
    wanted = dict.fromkeys(names)
    files = catalogue.content(wanted)
    named = [files[lfn] for lfn in wanted if lfn in files]
    return [*named, *(files[lfn] for lfn in sorted(files) if lfn not in wanted)]


def _all(file: ArchivedFile, rses: Mapping[str, Rse], near: str) -> list[Replica]:
    best = ranked(file, rses, near)
    return [*best, *(replica for replica in file.replicas if replica not in best)]


def _copy(file: ArchivedFile, replica: Replica, rses: Mapping[str, Rse], url: str) -> Copy:
    rse = rses.get(replica.rse)
    return Copy(
        lfn=file.lfn,
        size_bytes=file.size_bytes,
        adler32=file.adler32,
        rse=replica.rse,
        where=(rse.centre or rse.site) if rse else "",
        state=replica.state,
        pfn=url,
        why=_why(rse) if rse else "",
    )


def _why(rse: Rse) -> str:
    """Return why replicas at a storage element cannot be read now."""
    if rse.can_be_read:
        return ""
    return f"it is lost: {rse.lost}" if rse.lost else "it is shut for reading"
