"""What a supervisor tells the process that started it, as lines of JSON through a pipe."""

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
    """The supervisor's end of the pipe; `Stopped` is raised if nobody is there to be told.

    Parameters
    ----------
    descriptor
        Where to write.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def on_stdout(cls) -> Reports:
        """Take the standard output for reports; what is printed goes to the standard error from now on."""
        descriptor = os.dup(1)
        os.dup2(2, 1)
        return cls(descriptor)

    @property
    def descriptors(self) -> list[int]:
        """The file descriptors that a child must not keep: the reader waits for their closing."""
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
        """Tell what begins now."""
        self._send(step=text)

    def ready(self) -> None:
        """Tell that everything answers; nothing more will be told."""
        self._send(ready=True)
        self._close()

    def error(self, error: EmbeddedError) -> None:
        """Tell that it failed; nothing more will be told."""
        self._send(error=str(error), pid=error.pid if isinstance(error, HomeInUseError) else None)
        self._close()


def follow(stream: IO[str], home: Path, log: Path, on_step: Callable[[str], None]) -> None:
    """Read the reports of a supervisor until it is ready.

    Parameters
    ----------
    stream
        The reader's end of the pipe.
    home
        The home that it was started for.
    log
        Its log, to be named if it ends without a word.
    on_step
        Called with what begins.

    Raises
    ------
    EmbeddedError
        What the supervisor reports.
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
    msg = f"the supervisor of {home} ended without a word; its log is {log}"
    raise EmbeddedError(msg)
