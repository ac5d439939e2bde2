"""Select the storage element of an upload: by request, or by the policy."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import UsageError
from ctao_bdms.model import Night, ReplicaState, Site
from ctao_bdms.replication import centres_by_name, counted_on, place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctao_bdms.model import ArchivedFile, ProductMetadata, RetentionClass, Rse
    from ctao_bdms.replication import Centre, Policy

__all__ = ["Target", "chosen_rse", "held_at", "site_and_night"]

#: Site and night of a product, which determine its placement.
Target = tuple[Site, Night]


def site_and_night(metadata: ProductMetadata, now: dt.datetime) -> Target:
    """Return site and night of a product; by default external and today."""
    site = Site(str(metadata.get("instance__site_id", Site.EXTERNAL)))
    night = metadata.get("instance__observing_night")
    return site, Night(night) if isinstance(night, dt.date) else Night.of(now, site)


def held_at(archived: ArchivedFile | None) -> str:
    """Return a storage element with a replica of a file; empty if there is none."""
    whole = [r.rse for r in archived.replicas if r.state is ReplicaState.AVAILABLE] if archived else []
    return min(whole, default="")


def chosen_rse(
    rses: Mapping[str, Rse],
    target: Target,
    retention: RetentionClass,
    policy: Policy,
    now: dt.datetime,
    *,
    rse: str = "",
    near: str = "",
) -> Rse:
    """Return the off-site storage element where a product enters the archive.

    Parameters
    ----------
    rses
        All storage elements, by name.
    now
        The time (aware).
    rse
        The requested storage element; empty for any.
    near
        The requested centre or region; empty if the policy decides.

    Raises
    ------
    UsageError
        If there is no such storage element, or none that can be written now.
    """
    centres = centres_by_name(rses.values(), now)
    doors = {name: each for name, each in sorted(rses.items()) if each.centre and each.write_url and not each.is_tape}
    shut = {name: why for name, each in doors.items() if (why := _why_shut(each, centres))}
    able = {name: each for name, each in doors.items() if name not in shut}
    if rse or near:
        asked = [each for each in doors.values() if (rse or near) in ({each.name} if rse else _places(each))]
        if found := next((each for each in asked if each.name in able), None):
            return found
        what = f"{rse!r} takes no uploads" if rse else f"no storage element at {near!r} takes uploads"
        reasons = " and ".join(shut[each.name] for each in asked)
        raise UsageError(f"{what}{f' now, for {reasons}' if reasons else ''}; there are {_list(able)}")
    if not able:
        raise UsageError(f"no storage element takes uploads now: {'; '.join(shut.values()) or 'there is none'}")
    if not any(centre.is_closed for centre in centres.values()):
        place(policy, list(rses.values()), retention, *target)  # raises if the policy can never be satisfied
    # The product enters at one writable centre; the other centres get their copies from there.
    terms = attrs.evolve(policy.retention(retention), copies=1, tape=False)
    entering = attrs.evolve(policy, retentions={**policy.retentions, retention: terms})
    (centre,) = place(entering, list(able.values()), retention, *target)
    return next(each for each in able.values() if each.centre == centre)


def _places(rse: Rse) -> set[str]:
    """Return the names that select a storage element with `near`."""
    return {rse.centre, rse.region, rse.name}


def _why_shut(rse: Rse, centres: Mapping[str, Centre]) -> str:
    """Return the reason why a storage element takes no uploads now; empty if it does."""
    if rse.lost:
        return f"{rse.name} is marked as lost: {rse.lost}"
    if not counted_on([rse], centres):
        return centres[rse.centre].why
    return "" if rse.is_writable else f"{rse.name} is shut: nothing can be written there"


def _list(rses: Mapping[str, Rse]) -> str:
    return ", ".join(f"{name} ({rse.centre})" for name, rse in rses.items()) or "none"
