"""Build the daemon: the loop and its stages, for production and for tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.catalogue import Catalogue
from ctao_bdms.daemon.backoff import Circuits
from ctao_bdms.daemon.connection import Connection
from ctao_bdms.daemon.face import Notifier
from ctao_bdms.daemon.heartbeat import Heartbeat
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.daemon.loop import Loop
from ctao_bdms.daemon.recovery import open_registrar
from ctao_bdms.daemon.stages import DiscoverStage, RegisterStage, ReplicateStage, ReportStage, ScanStage
from ctao_bdms.inbox import Watch
from ctao_bdms.replication import Policy, Replication
from ctao_bdms.workers import Scans

if TYPE_CHECKING:
    from ctao_bdms.daemon.context import StageContext

__all__ = ["Daemon", "Resources", "build"]


@attrs.frozen(kw_only=True)
class Resources:
    """Resources of the daemon that its caller creates and closes.

    Attributes
    ----------
    connect
        Connects to the archive. Each thread that uses the archive gets its own connection.
    registering, replicating
        One thread each for requests to the archive, so that the loop does not block.
    """

    lease: Lease
    notifier: Notifier
    scans: Scans
    connect: Callable[[], Catalogue]
    registering: Executor
    replicating: Executor


@attrs.frozen(kw_only=True)
class Daemon:
    """The loop, its stages in the order of a turn, and their health."""

    report: ReportStage
    scan: ScanStage
    register: RegisterStage
    replicate: ReplicateStage
    discover: DiscoverStage
    loop: Loop
    circuits: Circuits
    heartbeat: Heartbeat


def build(context: StageContext, resources: Resources, *, on_turn: Callable[[], None] = lambda: None) -> Daemon:
    """Build the daemon without connecting to the archive.

    Parameters
    ----------
    on_turn
        Called at the end of each turn of the loop.
    """
    settings, clocks, lease = context.settings(), context.clocks, resources.lease
    policy = Policy.load(settings.policy.file)
    connection = Connection(resources.connect, lease.check)
    circuits = Circuits(context.backoff, monotonic=clocks.monotonic, jitter=context.jitter)
    heartbeat = Heartbeat(context, lease, resources.notifier)
    watch = Watch(
        settings.inbox_roots,
        settings.storage.root,
        full_scan_s=settings.inbox.full_walk_interval_s,
        settle_s=settings.inbox.settle_s,
        monotonic=clocks.monotonic,
    )
    scan = ScanStage(context, resources.scans, circuits)
    register = RegisterStage(
        context,
        lambda: open_registrar(context, connection, policy=policy, alive=heartbeat.recovering),
        nameless=scan.nameless,
        look_again=watch.look_again,
        executor=resources.registering,
    )
    replicate = ReplicateStage(
        context,
        Replication(
            Connection(resources.connect, lease.check),
            policy,
            clocks.now,
            dt.timedelta(seconds=settings.replication.patience_s),
        ),
        register.close,
        executor=resources.replicating,
    )
    discover = DiscoverStage(context, watch, busy=lambda: register.busy)
    report = ReportStage(
        context, discover=discover, scan=scan, register=register, circuits=circuits, lease_token=lease.token
    )
    stages = (report, scan, register, replicate, discover)
    return Daemon(
        report=report,
        scan=scan,
        register=register,
        replicate=replicate,
        discover=discover,
        loop=Loop(context, stages, circuits=circuits, heartbeat=heartbeat, on_turn=on_turn),
        circuits=circuits,
        heartbeat=heartbeat,
    )
