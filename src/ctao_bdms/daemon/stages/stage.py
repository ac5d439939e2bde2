"""What the stages of the daemon have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ctao_bdms.causes import Cause

__all__ = ["Stage"]


class Stage(Protocol):
    """One of the things that the daemon does again and again."""

    @property
    def name(self) -> str:
        """What it is called in the log."""

    @property
    def causes(self) -> frozenset[Cause]:
        """What it depends on: while one of these fails, the stage waits, and what it does next is the probe.

        The journal is one of them: a failure that is none of the others counts as its.
        """

    def due_in_s(self) -> float:
        """Return after how many seconds there is something to do; 0 or less: now."""

    def step(self, *, probe: bool) -> None:
        """Do what is due; as a `probe`, only a little of it.

        An error leaves nothing half remembered: the next step does the same again.
        """
