"""The protocol of the stages of the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ctao_bdms.causes import Cause

__all__ = ["Stage"]


class Stage(Protocol):
    """A step of the daemon that the loop repeats."""

    @property
    def name(self) -> str:
        """Its name in the log."""

    @property
    def causes(self) -> frozenset[Cause]:
        """The causes that it depends on.

        While one of them fails, the stage waits, and its next step is the probe. The set must contain the journal: a
        failure of no other cause counts as a failure of the journal.
        """

    def due_in_s(self) -> float:
        """Return the time in seconds until the stage is due; 0 or less means now."""

    def step(self, *, probe: bool) -> None:
        """Do the work that is due; as a `probe`, only little of it.

        After an error, the next step repeats the same work.
        """
