"""The loop of the daemon: one thread that runs the stages that are due."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.causes import Cause, cause_of
from ctao_bdms.errors import BdmsError, CatalogueError, JournalLostError, LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ctao_bdms.daemon.backoff import Circuits
    from ctao_bdms.daemon.context import StageContext
    from ctao_bdms.daemon.heartbeat import Heartbeat
    from ctao_bdms.daemon.stages import Stage

__all__ = ["Loop"]

_log = logging.getLogger(__name__)

#: The longest sleep of the loop, in seconds: the lease and the health check need a heartbeat.
_LONGEST_SLEEP_S = 1.0


@attrs.frozen
class _Held:
    """A stage that waits after an unexpected error."""

    failures: int
    said: str
    until_s: float


class Loop:
    """Run the stages until `stop` is called.

    A transient failure of a stage opens the circuit of its cause. All stages that depend on this cause wait, and one
    of them probes it after the backoff. A stage that fails because of a bug waits alone.

    Parameters
    ----------
    stages
        In the order of a turn.
    on_turn
        Called at the end of each turn.
    """

    def __init__(
        self,
        context: StageContext,
        stages: Sequence[Stage],
        *,
        circuits: Circuits,
        heartbeat: Heartbeat,
        on_turn: Callable[[], None],
    ) -> None:
        self._context = context
        self._journal = context.journal
        self._metrics = context.metrics
        self._monotonic = context.clocks.monotonic
        self._wake = context.wake
        self._stages = tuple(stages)
        self._circuits = circuits
        self._heartbeat = heartbeat
        self._on_turn = on_turn
        self._held: dict[str, _Held] = {}
        self._stop = threading.Event()
        self._prober: dict[Cause, Stage] = {}

    def stop(self) -> None:
        """Stop after the current turn; safe in any thread and in a signal handler."""
        self._stop.set()
        self._wake.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def run(self) -> None:
        """Run turns until `stop` is called.

        Raises
        ------
        JournalLostError
            If the journal was removed or replaced.
        LeaseLostError
            If another daemon has taken over the lease.
        """
        while not self._stop.is_set():
            self._wake.clear()
            self.turn()
            self._wake.wait(self._sleep_s())

    def turn(self) -> None:
        """Run each stage that is due once."""
        self._heartbeat.beat()
        for stage in self._stages:
            if self._due_in_s(stage) <= 0:
                self._run(stage)
        for cause in Cause:
            self._metrics.circuit(cause, is_open=cause in self._circuits.open)
        self._metrics.circuit(Cause.FAILED, is_open=bool(self._held))
        self._heartbeat.turned()
        self._on_turn()

    def _sleep_s(self) -> float:
        """Return the time until a stage is due or a circuit can be probed."""
        probe_s = self._circuits.next_probe_in_s()
        held_s = _LONGEST_SLEEP_S if probe_s is None else probe_s  # a running probe wakes the loop when it ends
        waits = [max(self._due_in_s(s), held_s if s.causes & self._circuits.open else 0.0) for s in self._stages]
        return max(0.0, min([*waits, _LONGEST_SLEEP_S]))

    def _due_in_s(self, stage: Stage) -> float:
        """Return the time in seconds until a stage is due.

        If this fails, the stage is due now: `_run` handles the error when it occurs again.
        """
        held = self._held.get(stage.name)
        if held is not None and held.until_s > self._monotonic():
            return held.until_s - self._monotonic()
        try:
            return stage.due_in_s()
        except (BdmsError, OSError):
            return 0.0
        except Exception as error:  # noqa: BLE001 - one stage that fails must not end the others
            self._hold(stage, error)
            return self._held[stage.name].until_s - self._monotonic()

    def _hold(self, stage: Stage, error: Exception) -> None:
        """Let a stage wait after an unexpected error; log the traceback once."""
        held = self._held.get(stage.name)
        count, said = 1 if held is None else held.failures + 1, repr(error)
        wait_s = self._context.backoff().delay_s(count, 1.0)
        self._held[stage.name] = _Held(count, said, self._monotonic() + wait_s)
        is_new = held is None or held.said != said
        _log.log(
            logging.ERROR if is_new else logging.INFO,
            "the software fails over %s, which waits; please report it: %s",
            stage.name,
            said,
            exc_info=error if is_new else None,
        )

    def _run(self, stage: Stage) -> None:
        """Run a stage, unless a circuit that it depends on is open."""
        failing = stage.causes & self._circuits.open
        probers = [self._prober[cause] for cause in failing if cause in self._prober]
        if stage not in probers and any(prober.due_in_s() <= 0 for prober in probers):
            return  # the stage that met the failure probes it, as long as it has work
        ticket = self._circuits.admit(stage.causes)
        if ticket is None:
            return
        failure: Cause | None = None
        try:
            stage.step(probe=bool(ticket.probes))
            self._held.pop(stage.name, None)
        except (JournalLostError, LeaseLostError):
            raise
        except (BdmsError, OSError) as error:
            failure = _failure(stage, error)
            if failure not in self._circuits.open or failure in ticket.probes:
                self._prober[failure] = stage
            _log.log(
                logging.INFO if failure in ticket.probes else logging.ERROR,
                "%s waits for the %s: %s",
                stage.name,
                failure,
                error,
            )
        except Exception as error:  # noqa: BLE001 - one stage that fails must not end the others
            failure = Cause.FAILED
            self._hold(stage, error)
        if ticket.probes:
            for cause in ticket.probes:
                self._metrics.retried(cause)
        self._resume(self._circuits.settle(ticket, failure))

    def _resume(self, closed: frozenset[Cause]) -> None:
        """Resume the files that wait for causes."""
        for cause in closed:
            self._prober.pop(cause, None)
            with suppress(OSError):  # the next use of the journal reports the same error
                _log.info("the %s works again; %d files go on", cause, self._journal.resume(cause))


def _failure(stage: Stage, error: BdmsError | OSError) -> Cause:
    """Return the cause that a stage waits for after `error`.

    A missing permission or storage element is not transient in general. The daemon waits for it nevertheless: an
    operator repairs it, and the daemon continues without a restart.
    """
    is_storage = isinstance(error, OSError) and not isinstance(error, CatalogueError)
    likely = Cause.STORAGE if is_storage else Cause.CATALOGUE
    return next((cause for cause in (cause_of(error), likely) if cause in stage.causes), Cause.JOURNAL)
