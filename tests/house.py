"""The daemon under manual control: real folders, journal and scans; an archive in memory; test clocks."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.causes import Cause
from ctao_bdms.daemon.clocks import Clocks
from ctao_bdms.daemon.composition import Resources, build
from ctao_bdms.daemon.config.settings import Inbox, Replication, Settings, State, Storage, Workers
from ctao_bdms.daemon.context import StageContext
from ctao_bdms.daemon.face.metrics import Metrics
from ctao_bdms.daemon.face.notify import Notifier
from ctao_bdms.errors import BdmsError, JournalUnavailableError, NoWorkerError
from ctao_bdms.journal import FileState, Journal
from ctao_bdms.model import FileFacts, Rse, Site
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import NIGHT, ONSITE
from ctao_bdms.testing.dl0 import night_specs, write_night
from ctao_bdms.workers import Scans

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ctao_bdms.daemon.lease import Lease
    from ctao_bdms.journal.writing import Transaction
    from ctao_bdms.model import ArchivedFile, Did, Lfn, Registration
    from ctao_bdms.quarantine import Case
    from ctao_bdms.testing.dl0 import WrittenFile

_P = ParamSpec("_P")
_T = TypeVar("_T")

BEGIN = dt.datetime(2026, 11, 21, 23, tzinfo=dt.UTC)


class Clock:
    """A manual clock: monotonic seconds and the time of day."""

    def __init__(self) -> None:
        self.now_s = 0.0
        #: By how much the time of day was set forward, or back.
        self.ahead = dt.timedelta()

    def __call__(self) -> float:
        return self.now_s

    def now(self) -> dt.datetime:
        return BEGIN + dt.timedelta(seconds=self.now_s) + self.ahead

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    @property
    def clocks(self) -> Clocks:
        """The clocks for the daemon."""
        return Clocks(now=self.now, monotonic=self, sleep=self.sleep)


class Archive(InMemoryCatalogue):
    """An archive that may be down, and counts the requests for files."""

    def __init__(self, root: Path, clock: Clock) -> None:
        onsite = Rse(name=ONSITE, prefix=str(root), site="CTAO-North")
        centres = [Rse(name=f"{name}-DISK", prefix=f"/{name}", centre=name) for name in ("PIC", "CSCS")]
        super().__init__([onsite, *centres], now=clock.now)
        self.error: BdmsError | None = None
        self.refused: dict[str, Exception] = {}
        self.offered: list[int] = []
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return super().files(lfns)

    def close_block(self, block: Did) -> None:
        if self.error is not None:
            raise self.error
        super().close_block(block)

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        if self.error is not None:
            raise self.error
        self.offered.append(len(files))
        for file in files:
            if error := self.refused.get(file.lfn.name, self.refused.get("")):
                raise error
        super().register(block, rse, files)
        assert self.may_answer.wait(30)


class Paper(Journal):
    """A journal that fails writes, or also reads, on demand."""

    is_full = False
    is_broken = False

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        if self.is_broken:
            raise JournalUnavailableError(self.path, "disk I/O error")
        return super()._rows(sql, *values)

    def _writing(self) -> AbstractContextManager[Transaction]:
        if self.is_full:
            raise JournalUnavailableError(self.path, "the disk is full")
        return super()._writing()


class Unstaffed(Executor):
    """An executor on a machine that cannot start processes."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()
        future.set_exception(NoWorkerError("Cannot allocate memory"))
        return future


class Reader(Scans):
    """Scans in threads; some files cannot be read."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        super().__init__(executor)
        self.raised: dict[str, Exception] = {}
        self.no_worker = False

    def submit(
        self, path: str | os.PathLike[str], size_bytes: int = 0, *, algorithms: tuple[str, ...] = ("adler32", "sha256")
    ) -> Future[FileFacts]:
        if self.no_worker:
            return Scans(Unstaffed()).submit(path)
        error = self.raised.get(Path(path).name)
        if error is None:
            return super().submit(path, size_bytes, algorithms=algorithms)
        future: Future[FileFacts] = Future()
        future.set_exception(error)
        return future


class AtOnce(Executor):
    """Executes each call at once, in the thread that submits it."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
            future.set_exception(error)
        return future


def context_of(settings: Callable[[], Settings], journal: Journal, clocks: Clocks) -> StageContext:
    """Return a stage context that always has the largest jitter."""
    metrics = Metrics(states=FileState, causes=Cause)
    return StageContext(settings=settings, journal=journal, metrics=metrics, clocks=clocks, jitter=lambda: 1.0)


class House:
    """The daemon under manual control; `before` is its predecessor, whose archive and clock it keeps."""

    def __init__(
        self, folder: Path, scans: Reader, lease: Lease, aside: Executor | None = None, before: House | None = None
    ) -> None:
        self.root = folder / "onsite"
        if before is None:
            self.root.mkdir(exist_ok=True)
        self.clock: Clock = Clock() if before is None else before.clock
        self.archive: Archive = Archive(self.root, self.clock) if before is None else before.archive
        self.connections = 0
        self.scans = scans
        self.settings = Settings(
            inbox=Inbox(settle_s=0),
            storage=Storage(root=self.root, rse=ONSITE, site=Site.NORTH, low_disk_bytes=0),
            state=State(folder=folder),
            workers=Workers(number=2),
            replication=Replication(review_interval_s=60, review_days=3),
        )
        self.journal = Paper(self.settings.journal, by="test", now=self.clock.now, fence=lease.token)
        self.context = context_of(lambda: self.settings, self.journal, self.clock.clocks)
        self.metrics = self.context.metrics
        self.daemon = build(
            self.context,
            Resources(
                lease=lease,
                notifier=Notifier(),
                scans=scans,
                connect=self._connect,
                registering=aside or AtOnce(),
                replicating=AtOnce(),
            ),
        )
        self.circuits, self.loop = self.daemon.circuits, self.daemon.loop
        self.discover, self.scan, self.register = self.daemon.discover, self.daemon.scan, self.daemon.register
        self.replicate, self.report = self.daemon.replicate, self.daemon.report

    def _connect(self) -> Archive:
        self.connections += 1
        return self.archive

    def turn(self, turns: int = 1, *, seconds: float = 1.0) -> None:
        """Run turns with time in between, and wait for running scans, as the loop would."""
        for _ in range(turns):
            self.loop.turn()
            for running in list(self.scan._running.values()):
                running.future.exception(30)
            self.clock.now_s += seconds

    def states(self) -> dict[str, int]:
        return {state.value: tally.files for state, tally in self.journal.tallies().items() if tally.files}

    @property
    def bdms(self) -> Bdms:
        """The archive object of an operator's command."""
        return Bdms(self.archive, policy=Policy.load(), now=self.clock.now, quarantine=self.settings.quarantine)

    @property
    def case(self) -> Case:
        """The only case in quarantine."""
        (case,) = self.bdms.quarantine.cases()
        return case

    def write(self, count: int = 4) -> list[WrittenFile]:
        return write_night(self.root, night_specs(count, megabytes=0.02, night=NIGHT))
