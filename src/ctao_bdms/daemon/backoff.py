"""Waiting for what has failed: one circuit a cause, and one probe, however many files wait.

Pure: the clock and the jitter are arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet
    from typing import Self

    from ctao_bdms.daemon.config import Retries

__all__ = ["Backoff", "Circuits", "Ticket"]

_DOUBLINGS = 40  # beyond any cap; a power of two that grows for months would be a large number


@attrs.frozen(kw_only=True)
class Backoff:
    """How long to wait before the next try.

    Attributes
    ----------
    first_s
        The most that the first wait takes, in seconds; each failure doubles it.
    cap_s
        The most that any wait takes, in seconds.
    """

    first_s: float = 1.0
    cap_s: float = 60.0

    @classmethod
    def of(cls, retries: Retries) -> Self:
        """Return what the settings say."""
        return cls(first_s=retries.first_s, cap_s=retries.cap_s)

    def delay_s(self, failures: int, jitter: float) -> float:
        """Return the wait after so many failures: anything up to the bound, so that no two come together.

        Parameters
        ----------
        failures
            How many there have been in a row, at least 1.
        jitter
            A random number from 0 to 1. A tenth of the first wait is the least, so that bad luck is no busy loop.
        """
        bound = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, _DOUBLINGS))
        return max(bound * jitter, min(self.first_s / 10, self.cap_s))


@attrs.frozen
class Ticket:
    """Leave to do something that depends on causes.

    Attributes
    ----------
    probes
        The causes that this is the one probe of. If there are any, little should be done with it: one file.
    """

    probes: frozenset[Cause] = frozenset()


@attrs.define
class _Open:
    """An open circuit: how often it failed, when it is probed, whether it is being probed."""

    failures: int
    next_probe_s: float
    is_probed: bool = False


class Circuits:
    """What works and what does not, by cause.

    A circuit opens with the first failure. When its time has come, one ticket is the probe, and nobody else gets one.
    If the probe succeeds, the circuit closes and everything that waited is due; if not, the wait doubles up to the
    cap, for as long as the outage lasts. What was begun before it opened neither closes it nor makes the wait longer.

    Parameters
    ----------
    backoff
        Returns how long to wait between probes; asked anew at each failure.
    monotonic
        The clock, in seconds.
    jitter
        Gives random numbers from 0 to 1.
    """

    def __init__(
        self, backoff: Callable[[], Backoff], *, monotonic: Callable[[], float], jitter: Callable[[], float]
    ) -> None:
        self._backoff = backoff
        self._monotonic = monotonic
        self._jitter = jitter
        self._open: dict[Cause, _Open] = {}

    @property
    def open(self) -> AbstractSet[Cause]:
        """The causes that everything waits for."""
        return self._open.keys()

    def failures(self, cause: Cause) -> int:
        """Return how often a cause has failed in a row; 0 if its circuit is closed."""
        return self._open[cause].failures if cause in self._open else 0

    def admit(self, causes: Iterable[Cause]) -> Ticket | None:
        """Return leave to do something that depends on `causes`; None if it has to wait.

        Whoever gets a ticket gives it back by `settle`.
        """
        now_s = self._monotonic()
        circuits = {cause: self._open[cause] for cause in causes if cause in self._open}
        if any(circuit.is_probed or circuit.next_probe_s > now_s for circuit in circuits.values()):
            return None
        for circuit in circuits.values():
            circuit.is_probed = True
        return Ticket(frozenset(circuits))

    def settle(self, ticket: Ticket, failure: Cause | None = None) -> frozenset[Cause]:
        """Take a ticket back, and return the causes whose circuits are closed now: what waited for them is due.

        Parameters
        ----------
        ticket
            The ticket.
        failure
            What failed; None if all went well. A probe that failed for another cause has said nothing of its own: the
            next one may probe at once.
        """
        closed = set()
        for cause in ticket.probes & self._open.keys():
            if failure is None:
                del self._open[cause]
                closed.add(cause)
            else:
                self._open[cause].is_probed = False
        if failure is not None and failure.is_shared and (failure not in self._open or failure in ticket.probes):
            count = self.failures(failure) + 1
            wait_s = self._backoff().delay_s(count, self._jitter())
            self._open[failure] = _Open(count, self._monotonic() + wait_s)
        return frozenset(closed)

    def next_probe_in_s(self) -> float | None:
        """Return after how many seconds the next circuit may be probed; None if none waits for its time."""
        times = [circuit.next_probe_s for circuit in self._open.values() if not circuit.is_probed]
        return max(0.0, min(times) - self._monotonic()) if times else None
