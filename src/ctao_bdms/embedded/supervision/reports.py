"""Reports of a supervisor to the process that started it, as lines of JSON in a pipe."""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING

from ctao_bdms.embedded.supervision.events import Stopped
from ctao_bdms.errors import EmbeddedError, HomeInUseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Reports", "follow"]


class Reports:
    """The supervisor's end of the pipe; raises `Stopped` if the reader has gone.

    Parameters
    ----------
    descriptor
        The file descriptor to write to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def on_stdout(cls) -> Reports:
        """Use the standard output for reports, and redirect prints to the standard error."""
        descriptor = os.dup(1)
        os.dup2(2, 1)
        return cls(descriptor)

    @property
    def descriptors(self) -> list[int]:
        """The file descriptors that a child must close, because the reader waits for their end."""
        return [] if self._descriptor is None else [self._descriptor]

    def _send(self, **report: object) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, (json.dumps(report) + "\n").encode())
        except BrokenPipeError as error:
            raise Stopped from error

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def step(self, text: str) -> None:
        """Report the beginning of a step."""
        self._send(step=text)

    def ready(self) -> None:
        """Report that all parts answer; the last report."""
        self._send(ready=True)
        self._close()

    def error(self, error: EmbeddedError) -> None:
        """Report a failure; the last report."""
        self._send(error=str(error), pid=error.pid if isinstance(error, HomeInUseError) else None)
        self._close()


def follow(stream: IO[str], home: Path, log: Path, on_step: Callable[[str], None]) -> None:
    """Read the reports of a supervisor until it is ready.

    Parameters
    ----------
    stream
        The reader's end of the pipe.
    home
        The home of the supervisor.
    log
        Its log, for the message if it ends without a report.
    on_step
        Called at the beginning of each step.

    Raises
    ------
    EmbeddedError
        The error that the supervisor reports.
    HomeInUseError
        If another supervisor runs in the home.
    """
    for line in stream:
        report = json.loads(line)
        if "step" in report:
            on_step(report["step"])
        elif "ready" in report:
            return
        elif report["pid"] is not None:
            raise HomeInUseError(home, report["pid"])
        else:
            raise EmbeddedError(report["error"])
    msg = f"the supervisor of {home} ended without a report; see {log}"
    raise EmbeddedError(msg)
