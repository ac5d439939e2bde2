"""Backoff and circuit breakers: one circuit for each cause, one probe at a time.

Pure: the clock and the random numbers are arguments.
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
    """Exponential backoff with jitter.

    Attributes
    ----------
    first_s
        The upper bound of the first delay, in seconds; each failure doubles it.
    cap_s
        The upper bound of any delay, in seconds.
    """

    first_s: float = 1.0
    cap_s: float = 60.0

    @classmethod
    def of(cls, retries: Retries) -> Self:
        """Return the backoff of the settings."""
        return cls(first_s=retries.first_s, cap_s=retries.cap_s)

    def delay_s(self, failures: int, jitter: float) -> float:
        """Return the delay after a number of failures, in seconds.

        Parameters
        ----------
        failures
            The number of failures in a row, at least 1.
        jitter
            A random number from 0 to 1. The delay is at least a tenth of the first one, to avoid a busy loop.
        """
        bound = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, _DOUBLINGS))
        return max(bound * jitter, min(self.first_s / 10, self.cap_s))


@attrs.frozen
class Ticket:
    """Permission to run a step that depends on causes.

    Attributes
    ----------
    probes
        The open causes that this step probes. A step that probes should do little work: one file.
    """

    probes: frozenset[Cause] = frozenset()


@attrs.define
class _Open:
    """An open circuit."""

    failures: int
    next_probe_s: float
    is_probed: bool = False


class Circuits:
    """The circuit breakers, one for each cause.

    A circuit opens at the first failure. After the backoff, one ticket is the probe, and no other ticket is given. If
    the probe succeeds, the circuit closes; if it fails, the backoff doubles up to the cap, as long as the outage
    lasts. Steps that began before the circuit opened neither close it nor extend the backoff.

    Parameters
    ----------
    backoff
        Returns the backoff between probes; called at each failure, since a reload may change it.
    jitter
        Returns random numbers from 0 to 1.
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
        """The causes whose circuits are open."""
        return self._open.keys()

    def failures(self, cause: Cause) -> int:
        """Return the number of failures of a cause in a row; 0 if its circuit is closed."""
        return self._open[cause].failures if cause in self._open else 0

    def admit(self, causes: Iterable[Cause]) -> Ticket | None:
        """Return a ticket for a step that depends on `causes`; None if the step must wait.

        The caller returns the ticket with `settle`.
        """
        now_s = self._monotonic()
        circuits = {cause: self._open[cause] for cause in causes if cause in self._open}
        if any(circuit.is_probed or circuit.next_probe_s > now_s for circuit in circuits.values()):
            return None
        for circuit in circuits.values():
            circuit.is_probed = True
        return Ticket(frozenset(circuits))

    def settle(self, ticket: Ticket, failure: Cause | None = None) -> frozenset[Cause]:
        """Take a ticket back, and return the causes whose circuits it closed.

        Parameters
        ----------
        failure
            The cause that failed; None on success. If a probe fails for another cause, its own cause stays open, and
            the next ticket may probe it at once.
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
        """Return the time until the next probe, in seconds; None without one."""
        times = [circuit.next_probe_s for circuit in self._open.values() if not circuit.is_probed]
        return max(0.0, min(times) - self._monotonic()) if times else None
