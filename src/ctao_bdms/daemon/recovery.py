"""Recover after a restart: finish the work of the previous daemon."""

from __future__ import annotations

import datetime as dt
import logging
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.catalogue import Comparison, Condition, MetadataQuery
from ctao_bdms.causes import cause_of, is_unforeseen
from ctao_bdms.errors import UnknownRseError
from ctao_bdms.inbox.files import local_file
from ctao_bdms.ingest import Batches, BlockLimits, BlockPolicy, Registrar
from ctao_bdms.journal import FileState, Rejected
from ctao_bdms.model import Night
from ctao_bdms.naming import DEFAULT_VO, BlockName, blocks_pattern, is_block
from ctao_bdms.quarantine import Quarantine
from ctao_bdms.replication import Replication

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.catalogue import Catalogue
    from ctao_bdms.daemon.context import StageContext
    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.journal import Journal
    from ctao_bdms.model import Site
    from ctao_bdms.replication import Action, Policy

__all__ = ["finish_quarantine", "open_registrar", "recover"]

_log = logging.getLogger(__name__)

#: Close our open blocks regardless of their age: the server's clock may differ from ours. Jobs still fill theirs.
_AT_ONCE = dt.timedelta.min

#: Number of files in one request when a journal is rebuilt.
_CHUNK = 5000


def open_registrar(
    context: StageContext, catalogue: Catalogue, *, policy: Policy, alive: Callable[[], None] = lambda: None
) -> Registrar:
    """Recover, and return the registrar of this daemon.

    Parameters
    ----------
    alive
        Called between two steps. After an outage of days, all steps together exceed the heartbeat limit of the loop.

    Raises
    ------
    UnknownRseError
        If the archive does not know the storage element.
    """
    settings = context.settings()
    rse, elements = settings.storage.rse, catalogue.rses()
    if rse not in elements:
        raise UnknownRseError(rse, elements)
    quarantine = Quarantine(settings.quarantine)
    finish_quarantine(context.journal, quarantine, Path(os.path.realpath(settings.storage.root)), alive=alive)
    recover(context, catalogue, policy=policy, alive=alive)
    limits = BlockLimits(files=settings.blocks.files, size_bytes=settings.blocks.size_bytes)
    return Registrar(
        catalogue,
        elements[rse],
        policy=BlockPolicy(
            limits=limits,
            age_s=settings.blocks.age_s,
            retention_of=policy.retention_of,
            first_rule=policy.first_rule,
        ),
        quarantine=quarantine,
        batches=Batches(catalogue, on_batch=lambda files, _seconds: context.metrics.batch(files)),
        now=context.clocks.now,
    )


def recover(
    context: StageContext, catalogue: Catalogue, *, policy: Policy, alive: Callable[[], None] = lambda: None
) -> None:
    """Close our open blocks, create missing rules, and rebuild a lost journal.

    A journal counts as new until this function has finished, even over several restarts of the daemon.

    Only the holder of the lease may call this: it would also close the open blocks of another running daemon. The cost
    does not grow with the age of the archive. For a new journal it checks the blocks of the last days before the
    journal was created, and older blocks with an incomplete rule. Files that still have a trigger are ingested again,
    whatever their night.

    Parameters
    ----------
    alive
        Called between two steps.
    """
    journal = context.journal
    is_new = journal.lacking_since is not None
    incomplete = _close_and_rule(context, catalogue, policy, alive)
    if not is_new:
        return
    rse = context.settings().storage.rse
    root = Path(os.path.realpath(catalogue.rses()[rse].prefix))
    for scope, night in sorted(incomplete, key=str):
        condition = Condition("instance__observing_night", Comparison.EQ, (night.date,))
        products, count = catalogue.find(MetadataQuery(scopes=(scope,), conditions=(condition,))), 0
        while lfns := [product.lfn for product in islice(products, _CHUNK)]:
            journal.rebuild((), catalogue.files(lfns).values(), rse, root)
            count += len(lfns)
            alive()
        _log.warning("the journal is new: %d files of the night %s were written into it again", count, night)
    journal.filled()


def _close_and_rule(
    context: StageContext, catalogue: Catalogue, policy: Policy, alive: Callable[[], None]
) -> set[tuple[str, Night]]:
    """Close our open blocks, create missing rules, and return the incomplete nights."""

    def refused(action: Action, error: CatalogueError) -> None:
        """Log a rejected rule; the replicate stage retries it."""
        _log.error("rule for %s on %s: %s", action.rse_expression, action.did, error, extra={"block": str(action.did)})
        alive()

    patience = dt.timedelta(seconds=context.settings().replication.patience_s)
    rules = Replication(catalogue, policy, context.clocks.now, patience)
    incomplete: set[tuple[str, Night]] = set()
    for scope, pattern, opened_since in _patterns(context, catalogue):
        states = rules.reconcile(
            scope,
            pattern,
            abandoned_after=_AT_ONCE,
            of_account=catalogue.account(),
            opened_since=opened_since,
            on_rule=lambda _did, _expression: alive(),
            on_refused=refused,
        )
        alive()
        incomplete.update((scope, BlockName.parse(state.block).night) for state in states if not state.is_complete)
    return incomplete


def finish_quarantine(
    journal: Journal, quarantine: Quarantine, root: Path, *, alive: Callable[[], None] = lambda: None
) -> None:
    """Finish interrupted moves into quarantine: move triggers, update the journal.

    Otherwise the trigger would wait for its missing file for ever, and so would the entry of the journal.

    Parameters
    ----------
    root
        The storage root, links resolved.
    alive
        Called for each case.
    """
    rejected = []
    try:
        cases = quarantine.cases()
    except OSError as error:
        if cause_of(error) is not None:
            raise
        _log.error("the quarantine cannot be looked at: %s", error)  # only files that must be quarantined wait
        return
    for case in cases:
        alive()
        try:
            if os.path.lexists(case.path):
                continue  # a new file with the same name has arrived
            if case.trigger is not None and quarantine.settle(local_file(case.path, case.trigger, root)) is not None:
                _log.warning("the trigger %s follows its file into %s", case.trigger, case.folder)
            entry = journal.entry(case.path)
        except Exception as error:
            if not is_unforeseen(error):
                raise
            _log.error("the software fails over the case %s; please report it", case.folder, exc_info=error)
            continue
        if entry is not None and entry.state in {FileState.FOUND, FileState.SCANNED}:
            why = "; ".join(map(str, case.defects))
            rejected.append(Rejected(path=case.path, why=why, case=case.folder))
    journal.quarantined(rejected)


def _patterns(context: StageContext, catalogue: Catalogue) -> Iterator[tuple[str, str, dt.datetime | None]]:
    """Yield scope, pattern and earliest opening time of possibly incomplete blocks."""
    settings, journal, now = context.settings(), context.journal, context.clocks.now()
    site, new_since = settings.storage.site, dt.timedelta(days=settings.state.recover_days)
    today, lacking_since = Night.of(now, site), journal.lacking_since
    for scope in catalogue.scopes():
        if lacking_since is not None:
            yield scope, blocks_pattern(DEFAULT_VO, scope, site), min(now, lacking_since) - new_since
            nights = _followed(catalogue, scope, site)
        else:
            nights = {today, Night(today.date - dt.timedelta(days=1)), *_on_their_way(journal)}
        for night in sorted(nights, key=str):
            yield scope, blocks_pattern(DEFAULT_VO, scope, site, night), None


def _followed(catalogue: Catalogue, scope: str, site: Site) -> set[Night]:
    """Return the nights of any age that have a block with an incomplete rule."""
    names = [BlockName.parse(did.name) for did in catalogue.unfulfilled(scope) if is_block(did.name)]
    return {name.night for name in names if (name.vo, name.site) == (DEFAULT_VO, site)}


def _on_their_way(journal: Journal) -> Iterator[Night]:
    """Yield the nights with files that are not yet replicated."""
    for night, tallies in journal.nights().items():
        if any(tallies.get(state) for state in (FileState.FOUND, FileState.SCANNED, FileState.REGISTERED)):
            yield night
