"""State of each off-site centre (pure).

Rucio says of a storage element whether it may be read and written. One that has been shut for a short while is waited
for; one that stays shut, or that the archive's administrator has marked as lost, is done without.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.replication.placement import full_centres
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ctao_bdms.model import Rse

__all__ = ["PATIENCE", "Centre", "Centres", "centres_by_name", "counted_on"]

#: How long a centre that is shut is waited for, if nothing else is said.
PATIENCE = dt.timedelta(hours=24)


@attrs.frozen(kw_only=True)
class Centre:
    """An off-site centre and its state.

    Attributes
    ----------
    name
        Its name.
    rses
        Its storage elements.
    is_readable, is_writable
        Whether one of its storage elements may be read, written.
    is_lost
        Whether its copies count no longer: it is marked as lost, or cannot be read for longer than one waits.
    is_closed
        Whether it takes no new data: it is lost, or cannot be written for longer than one waits.
    is_full
        Whether it has no room for new nights.
    why
        What is wrong with it; empty if nothing.
    """

    name: str
    rses: tuple[str, ...] = ()
    is_readable: bool = True
    is_writable: bool = True
    is_lost: bool = False
    is_closed: bool = False
    is_full: bool = False
    why: str = ""

    @property
    def state(self) -> str:
        """The state in a few words."""
        if self.is_lost:
            return "lost"
        if self.is_closed:
            return "closed"
        if self.why:
            return "waited for"
        return "full" if self.is_full else "in use"


class Centres(Rows[Centre]):
    """Centres, one row each."""

    columns: ClassVar = (("centre", "name"), ("state", "state"), ("storage elements", "rses"), ("why", "why"))


def centres_by_name(
    rses: Iterable[Rse], now: dt.datetime, patience: dt.timedelta = PATIENCE, keep_free_bytes: int = 0
) -> dict[str, Centre]:
    """Return the off-site centres by name.

    Parameters
    ----------
    now
        The time (aware).
    patience
        How long to wait for a storage element that is shut.
    keep_free_bytes
        The free space below which a storage element that states its own is full.

    Examples
    --------
    >>> from ctao_bdms.model import Rse
    >>> now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    >>> centres_by_name([Rse(name="PIC-DISK", prefix="/", centre="PIC", lost="fire")], now)["PIC"].why
    'PIC is marked as lost: fire'
    """
    rses = tuple(rses)
    full = full_centres(rses, keep_free_bytes)
    groups: dict[str, list[Rse]] = {}
    for rse in rses:
        if rse.centre:
            groups.setdefault(rse.centre, []).append(rse)
    return {name: _centre(name, group, now, patience, is_full=name in full) for name, group in sorted(groups.items())}


def _centre(name: str, rses: Sequence[Rse], now: dt.datetime, patience: dt.timedelta, *, is_full: bool) -> Centre:
    """Return a centre with the state of its best storage element."""
    is_readable = any(rse.can_be_read for rse in rses)
    is_writable = any(rse.is_writable and not rse.lost for rse in rses)
    waits = any(not rse.lost and (rse.changed is None or now - rse.changed < patience) for rse in rses)
    is_lost = not is_readable and not waits
    return Centre(
        name=name,
        rses=tuple(rse.name for rse in rses),
        is_readable=is_readable,
        is_writable=is_writable,
        is_lost=is_lost,
        is_closed=is_lost or (not is_writable and not waits),
        is_full=is_full,
        why="" if is_readable and is_writable else _why(name, rses, patience, is_readable=is_readable, waits=waits),
    )


def _why(name: str, rses: Sequence[Rse], patience: dt.timedelta, *, is_readable: bool, waits: bool) -> str:
    """Return the reason why a centre is not in use."""
    if reasons := sorted({rse.lost for rse in rses if rse.lost}):
        return f"{name} is marked as lost: {'; '.join(reasons)}"
    how = "written" if is_readable else "read"
    times = [rse.changed for rse in rses if rse.changed is not None]
    since = f" since {max(times):%Y-%m-%d %H:%M} UTC" if times else ""
    if not waits:
        return f"{name} cannot be {how}{since}, longer than one waits"
    until = f", and is waited for until {max(times) + patience:%Y-%m-%d %H:%M} UTC" if times else ", and is waited for"
    return f"{name} cannot be {how}{since}{until}"


def counted_on(rses: Iterable[Rse], centres: Mapping[str, Centre], holding: Collection[str] = ()) -> tuple[Rse, ...]:
    """Return the storage elements that placement can use.

    Those of lost centres are left out; those of closed ones take nothing new, but keep what they hold.

    Parameters
    ----------
    centres
        The centres as they are now.
    holding
        The centres that have everything.
    """
    return tuple(
        attrs.evolve(rse, is_full=True) if _is_closed(rse, centres) and rse.centre not in holding else rse
        for rse in rses
        if rse.centre not in centres or not centres[rse.centre].is_lost
    )


def _is_closed(rse: Rse, centres: Mapping[str, Centre]) -> bool:
    return rse.centre in centres and centres[rse.centre].is_closed
