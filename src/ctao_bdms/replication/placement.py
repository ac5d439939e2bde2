"""Which centres keep the copies of a night: pure.

Weighted rendezvous hashing of site and night over the centres: a whole night lies together, at distinct centres by
construction, each centre takes its share, and when a centre joins only that share moves. (D. G. Thaler and
C. V. Ravishankar, IEEE/ACM Trans. Netw. 6 (1998) 1; weights after J. Schindelhauer and G. Schomaker, SPAA 2005.)
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from ctao_bdms.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.model import Night, Rse, Site

__all__ = ["centres_for", "shares_of"]


def shares_of(rses: Iterable[Rse]) -> dict[str, float]:
    """Return the share of the data that each off-site centre takes: the largest that one of its RSEs states."""
    shares: dict[str, float] = {}
    for rse in rses:
        if rse.centre:
            shares[rse.centre] = max(rse.share, shares.get(rse.centre, 0.0))
    return shares


def centres_for(site: Site, night: Night, shares: Mapping[str, float], copies: int = 2) -> tuple[str, ...]:
    """Return the centres that keep the data of a night, the one that receives them from the site first.

    Parameters
    ----------
    site, night
        The site and the night.
    shares
        The centres, and the share of the data that each takes, relative to the others.
    copies
        How many distinct centres.

    Raises
    ------
    UsageError
        If there are fewer centres than copies.

    Examples
    --------
    >>> from ctao_bdms.model import Night, Site
    >>> centres_for(Site.NORTH, Night.parse("2026-11-21"), {"PIC": 1.0, "CSCS": 1.0, "DESY": 1.0})
    ('PIC', 'CSCS')
    """
    willing = {centre: share for centre, share in shares.items() if share > 0}
    if len(willing) < copies:
        raise UsageError(
            f"{copies} copies need {copies} centres, and there are {len(willing)}: {', '.join(willing) or 'none'}"
        )
    ranked = sorted(willing, key=lambda centre: (_score(site, night, centre, willing[centre]), centre), reverse=True)
    return tuple(ranked[:copies])


def _score(site: Site, night: Night, centre: str, share: float) -> float:
    """Return the centre's score for the night: the higher, the nearer."""
    digest = hashlib.sha256(f"{site}/{night}/{centre}".encode()).digest()
    uniform = (int.from_bytes(digest[:8], "big") + 1) / (2**64 + 1)
    return -share / math.log(uniform)
