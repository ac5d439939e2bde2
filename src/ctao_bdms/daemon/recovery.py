"""What a daemon does first when the archive answers: it ends what its predecessor has begun."""

from __future__ import annotations

import datetime as dt
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms import replication
from ctao_bdms.catalogue import Comparison, Condition, Query
from ctao_bdms.facade.connected import DEFAULT_VO
from ctao_bdms.ingest.inbox import local_file
from ctao_bdms.ingest.journal import FileState, Rejected
from ctao_bdms.model import Night
from ctao_bdms.naming import BlockName, blocks_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.catalogue import Catalogue
    from ctao_bdms.ingest import Quarantine
    from ctao_bdms.ingest.journal import Journal
    from ctao_bdms.model import Site

__all__ = ["recover", "settle"]

_log = logging.getLogger(__name__)

#: All open blocks are closed, whatever the server's clock says of their age.
_AT_ONCE = dt.timedelta.min


def recover(catalogue: Catalogue, journal: Journal, *, rse: str, site: Site, now: Callable[[], dt.datetime]) -> None:
    """Close the blocks that a predecessor left open, give them their rules, and fill a journal that is new.

    Only the holder of the lease may do this: an open block of a daemon that lives would be closed, too.

    Parameters
    ----------
    catalogue, journal
        The archive and the journal.
    rse, site
        The storage element on site, and the site.
    now
        The clock (aware).
    """
    nights: set[tuple[str, Night]] = set()
    for scope, pattern in _patterns(catalogue, journal, site, now()):
        states = replication.reconcile(catalogue, scope, pattern, now=now, abandoned_after=_AT_ONCE)
        nights.update((scope, BlockName.parse(state.block).night) for state in states if not state.is_complete)
    if not journal.is_new:
        return
    for scope, night in sorted(nights, key=str):
        condition = Condition("instance__observing_night", Comparison.EQ, (night.date,))
        lfns = [product.lfn for product in catalogue.find(Query(scopes=(scope,), conditions=(condition,)))]
        root = Path(os.path.realpath(catalogue.rses()[rse].prefix))
        journal.rebuild((), catalogue.files(lfns).values(), rse, root)
        _log.warning("the journal is new: %d files of the night %s were written into it again", len(lfns), night)


def settle(journal: Journal, quarantine: Quarantine, root: Path) -> None:
    """Finish what a predecessor has begun to put into quarantine: move the trigger after its file, and write it down.

    A trigger without its file waits for it, and nobody looks at it again; an entry of the journal waits with it.

    Parameters
    ----------
    journal, quarantine
        The journal and the quarantine.
    root
        The storage root, links resolved.
    """
    rejected = []
    for case in quarantine.cases():
        if os.path.lexists(case.path):
            continue  # another file of the name has come since
        if case.trigger is not None and quarantine.settle(local_file(case.path, case.trigger, root)) is not None:
            _log.warning("the trigger %s follows its file into %s", case.trigger, case.folder)
        entry = journal.entry(case.path)
        if entry is not None and entry.state in {FileState.FOUND, FileState.SCANNED}:
            why = "; ".join(map(str, case.defects))
            rejected.append(Rejected(path=case.path, why=why, case=case.folder))
    journal.quarantined(rejected)


def _patterns(catalogue: Catalogue, journal: Journal, site: Site, now: dt.datetime) -> Iterator[tuple[str, str]]:
    """Yield scopes and patterns of the blocks that may have been left behind."""
    today = Night.of(now, site)
    nights = {today, Night(today.date - dt.timedelta(days=1))}
    nights |= {
        night
        for night, tallies in journal.nights().items()
        if any(tallies.get(state) for state in (FileState.FOUND, FileState.SCANNED, FileState.REGISTERED))
    }
    for scope in catalogue.scopes():
        if journal.is_new:
            yield scope, blocks_pattern(DEFAULT_VO, scope, site)
        else:
            yield from ((scope, blocks_pattern(DEFAULT_VO, scope, site, night)) for night in sorted(nights, key=str))
