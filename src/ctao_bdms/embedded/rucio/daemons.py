"""Run Rucio's daemons for ingest, replication and deletion as threads of one process.

They are Rucio's own functions. Those of the conveyor are called once, whenever requests are waiting: as loops of their
own they would poll the state of a transfer only every ten minutes.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import attrs

__all__ = ["run_daemons"]

_LOG = logging.getLogger(__name__)
_CONVEYOR_POLL_S = 0.5
_BULK = 200  # small, so that a stage takes seconds
_STOP_S = 15
#: How long the judges skip a rule or DID that another transaction uses. Rucio's own 60 to 600 s cannot be configured,
#: and a new file would have no lock for that time.
_COLLISION_S = 5
#: Daemons have a lower priority than the server, for which users and the ingest wait.
_NICE = 10


@attrs.frozen
class _Daemon:
    """A loop, and how to stop it."""

    name: str
    loop: Callable[[], None]
    stop: Callable[[], None]


def _stock_daemons() -> list[_Daemon]:
    """Return the daemons with their own loops, with short sleep times (s)."""
    from functools import partial

    from rucio.daemons.abacus import account, collection_replica, rse
    from rucio.daemons.badreplicas import necromancer
    from rucio.daemons.judge import cleaner, evaluator, injector, repairer
    from rucio.daemons.reaper import reaper
    from rucio.daemons.undertaker import undertaker

    for judge in (cleaner, evaluator, injector, repairer):
        judge.randint = lambda _least, _most: _COLLISION_S
    everywhere: dict[str, Any] = {"rses": [], "include_rses": None, "exclude_rses": None}
    return [
        _Daemon("judge-evaluator", partial(evaluator.re_evaluator, sleep_time=2), evaluator.stop),
        _Daemon("judge-injector", partial(injector.rule_injector, sleep_time=5), injector.stop),
        _Daemon("judge-repairer", partial(repairer.rule_repairer, sleep_time=5), repairer.stop),
        _Daemon("judge-cleaner", partial(cleaner.rule_cleaner, sleep_time=3), cleaner.stop),
        _Daemon("abacus-rse", partial(rse.rse_update, sleep_time=5), rse.stop),
        _Daemon("abacus-account", partial(account.account_update, sleep_time=5), account.stop),
        _Daemon(
            "abacus-collection-replica",
            partial(collection_replica.collection_replica_update, sleep_time=5),
            collection_replica.stop,
        ),
        _Daemon("undertaker", partial(undertaker.undertaker, sleep_time=5), undertaker.stop),
        _Daemon("reaper", partial(reaper.reaper, sleep_time=4, chunk_size=500, **everywhere), reaper.stop),
        _Daemon("necromancer", partial(necromancer.necromancer, bulk=_BULK, sleep_time=10), necromancer.stop),
    ]


class _Conveyor:
    """Runs submitter, poller and finisher in turn, whenever a request is waiting for one of them."""

    def __init__(self) -> None:
        from rucio.db.sqla.constants import RequestState as State

        self._stop = threading.Event()
        self._submitting = State.SUBMITTING
        terminal = (State.DONE, State.FAILED, State.LOST, State.SUBMISSION_FAILED, State.NO_SOURCES)
        self._stages: list[tuple[set[Any], Callable[[], None]]] = [
            ({State.QUEUED}, self._submit),
            ({State.SUBMITTED}, self._poll),
            ({*terminal, State.ONLY_TAPE_SOURCES, State.MISMATCH_SCHEME}, self._finish),
        ]

    @staticmethod
    def _submit() -> None:
        from rucio.daemons.conveyor.submitter import submitter

        submitter(
            once=True,
            partition_wait_time=0,
            sleep_time=60,
            bulk=_BULK,
            group_bulk=100,
            group_policy="src_dest",
            transfertools=["fts3"],
        )

    @staticmethod
    def _poll() -> None:
        from rucio.daemons.conveyor.poller import poller

        poller(once=True, partition_wait_time=0, sleep_time=60, older_than=0, db_bulk=_BULK, transfertool="fts3")

    @staticmethod
    def _finish() -> None:
        from rucio.daemons.conveyor.finisher import finisher

        finisher(once=True, partition_wait_time=0, sleep_time=60, db_bulk=_BULK)

    @staticmethod
    def _states() -> set[Any]:
        """Return the states of all requests."""
        from rucio.db.sqla import models
        from rucio.db.sqla.constants import DatabaseOperationType
        from rucio.db.sqla.session import db_session
        from sqlalchemy import select

        with db_session(DatabaseOperationType.READ) as session:
            return set(session.execute(select(models.Request.state).distinct()).scalars())

    def loop(self) -> None:
        """Run until `stop`."""
        while not self._stop.wait(_CONVEYOR_POLL_S):
            states = self._states()
            if self._submitting in states:  # still there after the submitter returned: it failed
                _requeue_half_submitted()
                states = self._states()
            for wanted, stage in self._stages:
                if wanted & states and not self._stop.is_set():
                    stage()
                    states = self._states()

    def stop(self) -> None:
        """Stop the loop after the current stage."""
        self._stop.set()


def _recover() -> None:
    """Release the heartbeats and requests of daemons that were killed.

    Rucio divides the work among all heartbeats. It skips a request for ten minutes after a poll, and for two hours
    after the beginning of a submission. All earlier daemons are dead, because this home has one such process.
    """
    from rucio.db.sqla import models
    from rucio.db.sqla.constants import DatabaseOperationType
    from rucio.db.sqla.session import db_session
    from sqlalchemy import delete, update

    with db_session(DatabaseOperationType.WRITE) as session:
        session.execute(delete(models.Heartbeat))
        session.execute(update(models.Request).values(last_processed_by=None, last_processed_at=None))
    _requeue_half_submitted()


def _requeue_half_submitted() -> None:
    """Queue requests again whose submission was interrupted; must not run during a submission."""
    from rucio.db.sqla.constants import DatabaseOperationType, RequestState
    from rucio.db.sqla.models import Request
    from rucio.db.sqla.session import db_session
    from sqlalchemy import update

    half = update(Request).where(Request.state == RequestState.SUBMITTING)
    with db_session(DatabaseOperationType.WRITE) as session:
        session.execute(half.values(state=RequestState.QUEUED, external_id=None, external_host=None, submitted_at=None))


def run_daemons() -> int:
    """Run the daemons until SIGTERM.

    Returns
    -------
    int
        0 after a stop signal, 1 if a daemon ended by itself.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    os.nice(_NICE)
    over = threading.Event()
    asked = threading.Event()

    def ask(_signum: int, _frame: object) -> None:
        asked.set()
        over.set()

    signal.signal(signal.SIGTERM, ask)
    _recover()
    conveyor = _Conveyor()
    daemons = [*_stock_daemons(), _Daemon("conveyor", conveyor.loop, conveyor.stop)]

    def work(daemon: _Daemon) -> None:
        try:
            daemon.loop()
        finally:
            if not asked.is_set():
                _LOG.error("%s has ended by itself", daemon.name)
            over.set()

    threads = [threading.Thread(target=work, args=(daemon,), name=daemon.name, daemon=True) for daemon in daemons]
    for thread in threads:
        thread.start()
    over.wait()
    signal.alarm(_STOP_S)  # do not wait forever for a thread that hangs, for instance on a lost database
    for daemon in daemons:
        daemon.stop()
    for thread in threads:
        thread.join()
    return 0 if asked.is_set() else 1
