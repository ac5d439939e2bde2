"""Choose the centres that keep the data of a night (pure).

Weighted rendezvous hashing of site and night over the centres: a whole night lies together, at distinct centres by
construction, each centre takes its share, and when a centre joins only that share moves. (D. G. Thaler and
C. V. Ravishankar, IEEE/ACM Trans. Netw. 6 (1998) 1; weights after J. Schindelhauer and G. Schomaker, SPAA 2005.)
What a centre keeps already it goes on keeping: a centre that joins, or one that is full, moves nothing by itself.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from ctao_bdms.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ctao_bdms.model import Night, RetentionClass, Rse, Site
    from ctao_bdms.replication.policy import Policy

__all__ = ["centres_for", "full_centres", "place", "shares_of", "shut_centres", "tape_centres"]


def shares_of(rses: Iterable[Rse]) -> dict[str, float]:
    """Return the share of each off-site centre: the largest share of its RSEs."""
    shares: dict[str, float] = {}
    for rse in rses:
        if rse.centre:
            shares[rse.centre] = max(rse.share, shares.get(rse.centre, 0.0))
    return shares


def full_centres(rses: Iterable[Rse], keep_free_bytes: int = 0) -> frozenset[str]:
    """Return the centres that take no new nights, as all their storage elements are full.

    Parameters
    ----------
    keep_free_bytes
        The free space below which one that states its free space is full.
    """
    room: dict[str, bool] = {}
    for rse in rses:
        short = rse.free_bytes is not None and rse.free_bytes < keep_free_bytes
        room[rse.centre] = room.get(rse.centre, False) or not (rse.is_full or short)
    return frozenset(centre for centre, has_room in room.items() if centre and not has_room)


def tape_centres(rses: Iterable[Rse]) -> frozenset[str]:
    """Return the centres that have tape."""
    return frozenset(rse.centre for rse in rses if rse.is_tape and rse.centre)


def shut_centres(policy: Policy, rses: Collection[Rse], retention: RetentionClass, night: Night) -> frozenset[str]:
    """Return the centres of a retention class that take no new data of a night.

    Parameters
    ----------
    rses
        The storage elements that can be counted on.
    """
    shares = _shares(policy, rses, retention)
    full = full_centres(rses, policy.placement.keep_free_bytes)
    return frozenset(c for c, share in shares.items() if share > 0 and (c in full or not policy.takes(c, night)))


def _shares(policy: Policy, rses: Collection[Rse], retention: RetentionClass) -> dict[str, float]:
    """Return the centres of a retention class with their shares."""
    shares, chosen = shares_of(rses), policy.retention(retention).centres
    return shares if chosen is None else {centre: share for centre, share in chosen.items() if centre in shares}


def place(
    policy: Policy, rses: Collection[Rse], retention: RetentionClass, site: Site, night: Night, held: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the centres that keep the data of a night and retention class, the first receiver first.

    Parameters
    ----------
    rses
        The storage elements that can be counted on.
    held
        The centres that keep it already.

    Raises
    ------
    UsageError
        If there are fewer centres than copies, or none has the tape that the policy asks for.
    """
    terms = policy.retention(retention)
    return centres_for(
        site,
        night,
        _shares(policy, rses, retention),
        terms.copies,
        order=terms.order,
        closed=shut_centres(policy, rses, retention, night),
        held=held,
        tape=tape_centres(rses) if terms.tape else None,
    )


def centres_for(
    site: Site,
    night: Night,
    shares: Mapping[str, float],
    copies: int = 2,
    *,
    order: Sequence[str] = (),
    closed: Collection[str] = (),
    held: Sequence[str] = (),
    tape: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Return the centres that keep the data of a night, the first receiver first.

    Parameters
    ----------
    shares
        The centres, and the share of the data that each takes, relative to the others.
    order
        Centres that come before all others, in this order.
    closed
        Centres that take nothing new.
    held
        Centres that keep the data already, the first to receive them first: they stay, but for those without a share.
    tape
        Centres of which one must be chosen; None if any will do.

    Raises
    ------
    UsageError
        If there are fewer centres than copies, or none of `tape` among them.

    Examples
    --------
    >>> from ctao_bdms.model import Night, Site
    >>> night, shares = Night.parse("2026-11-21"), {"PIC": 1.0, "CSCS": 1.0, "DESY": 1.0}
    >>> centres_for(Site.NORTH, night, shares)
    ('PIC', 'CSCS')
    >>> centres_for(Site.NORTH, night, shares, closed={"PIC"})
    ('CSCS', 'DESY')
    """
    willing = {c: share for c, share in shares.items() if share > 0 and (c not in closed or c in held)}
    if len(willing) < copies:
        barred = sorted(set(closed) & {c for c, share in shares.items() if share > 0} - set(willing))
        raise UsageError(
            f"{copies} copies need {copies} centres, and there are {len(willing)}: {', '.join(willing) or 'none'}"
            + (f"; {', '.join(barred)} take nothing new for the night {night}" if barred else "")
        )
    first = [*dict.fromkeys(centre for centre in (*held, *order) if centre in willing)]
    rest = willing.keys() - set(first)
    first += sorted(rest, key=lambda centre: (_score(site, night, centre, willing[centre]), centre), reverse=True)
    chosen = first[:copies]
    if tape is not None and not set(tape).intersection(chosen):
        chosen[-1] = _first_with_tape(first, tape)
    return tuple(chosen)


def _first_with_tape(centres: Sequence[str], tape: Collection[str]) -> str:
    """Return the first centre that has tape; `UsageError` if none has."""
    for centre in centres:
        if centre in tape:
            return centre
    raise UsageError(f"a copy on tape needs a centre that has tape, and none of {', '.join(centres)} has")


def _score(site: Site, night: Night, centre: str, share: float) -> float:
    """Return the centre's score for the night: the higher, the nearer."""
    digest = hashlib.sha256(f"{site}/{night}/{centre}".encode()).digest()
    uniform = (int.from_bytes(digest[:8], "big") + 1) / (2**64 + 1)
    return -share / math.log(uniform)
