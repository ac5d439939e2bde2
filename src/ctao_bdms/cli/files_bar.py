"""Progress bars of a retrieval: one for all files, and one for each large file in progress."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ctao_bdms import access

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, TaskID

    from ctao_bdms.access import Fetched
    from ctao_bdms.model import ArchivedFile, Lfn

__all__ = ["FilesBar"]

#: The minimum size of a file with its own bar, in bytes; smaller files are too fast to see one.
_LARGE_BYTES = 32 << 20
_LINE_EVERY_S = 10.0


class FilesBar(access.Progress):
    """Updates progress bars; without a terminal, prints a line at intervals.

    Parameters
    ----------
    what
        The name of the operation.
    line
        Prints a line where there is no terminal; None if there is one.
    clock
        A monotonic clock, in seconds.
    """

    def __init__(
        self,
        bars: Progress,
        what: str,
        line: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bars, self._what, self._line, self._clock = bars, what, line, clock
        self._total = bars.add_task(what, total=None)
        self._tasks: dict[Lfn, TaskID] = {}
        self._files = self._ended = self._size_bytes = self._moved_bytes = 0
        self._next_line_s = clock() + _LINE_EVERY_S
        self._lock = threading.Lock()

    def begin(self, files: int, size_bytes: int) -> None:
        """Set the totals."""
        self._files, self._size_bytes = files, size_bytes
        self._bars.update(self._total, total=size_bytes, description=f"{self._what} 0 of {files}")

    def start(self, file: ArchivedFile) -> None:
        """Add a bar for a large file."""
        if file.size_bytes >= _LARGE_BYTES:
            task = self._bars.add_task(f"  {file.lfn.name}", total=file.size_bytes)
            with self._lock:
                self._tasks[file.lfn] = task

    def moved(self, lfn: Lfn, count: int) -> None:
        """Advance the bars, or set them back."""
        self._bars.update(self._total, advance=count)
        if (task := self._tasks.get(lfn)) is not None:
            self._bars.update(task, advance=count)
        with self._lock:
            self._moved_bytes += count
            is_time = self._line is not None and self._clock() >= self._next_line_s
            if is_time:
                self._next_line_s = self._clock() + _LINE_EVERY_S
        if is_time and self._line is not None:
            part = self._moved_bytes / self._size_bytes if self._size_bytes else 1.0
            self._line(f"{self._what}: {self._ended} of {self._files} files, {part:.0%} of the bytes")

    def end(self, fetched: Fetched) -> None:
        """Remove the bar of a file."""
        self._ended += 1
        self._bars.update(self._total, description=f"{self._what} {self._ended} of {self._files}")
        with self._lock:
            task = self._tasks.pop(fetched.lfn, None)
        if task is not None:
            self._bars.remove_task(task)
