"""A lease that lets one daemon run at a time, also across machines.

A lease is a file ``lease.<number>``; the highest number is valid. `os.link` creates it: exactly one process succeeds,
on every file system including network storage, without locks of the operating system. The holder rewrites the file
every few seconds. It does so in its loop and not in a thread, so that a loop that hangs looks silent. A process that
wants to take over watches the file for a time by its own clock: clocks of two machines are never compared. The number
is the fencing token: it only grows, and the holder checks it before each write.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import time
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.daemon.holder import Holder
from ctao_bdms.errors import LeaseHeldError, LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["Lease"]

_log = logging.getLogger(__name__)

_NAME = re.compile(r"lease\.(\d+)", re.ASCII)
_LOOKS = 20  # number of checks of a silent holder before it is replaced


class Lease:
    """The exclusive right to run as the daemon, held by this process.

    Parameters
    ----------
    folder
        The folder of the leases, the same for all daemons that exclude each other.
    beat_every_s
        The period of the heartbeat, in seconds.

    Attributes
    ----------
    token
        The fencing token: it grows with each holder.
    """

    def __init__(
        self, folder: Path, token: int, holder: Holder, beat_every_s: float, monotonic: Callable[[], float]
    ) -> None:
        self.folder = folder
        self.token = token
        self._holder = holder
        self._beat_every_s = beat_every_s
        self._monotonic = monotonic
        self._since_s = self._last_beat_s = monotonic()

    @classmethod
    def claim(
        cls,
        folder: Path,
        *,
        beat_every_s: float = 5.0,
        silent_after_s: float = 120.0,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> Lease:
        """Claim the lease of `folder`.

        A live holder shows at its next heartbeat. A holder that has ended on this machine is replaced at once. A
        silent holder is watched for `silent_after_s`, and then replaced.

        Parameters
        ----------
        folder
            Created if it is missing.
        beat_every_s
            The period of the heartbeat, in seconds.
        silent_after_s
            The silence after which a holder is replaced, in seconds: longer than the longest step between two
            heartbeats.
        pause
            Sleeps for a number of seconds.

        Raises
        ------
        LeaseHeldError
            If another process holds the lease.
        """
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            number = _highest(folder)
            if number and not _is_vacant(folder, number, silent_after_s, monotonic, pause):
                holder = current(folder)
                if holder is None or _highest(folder) != number:
                    continue
                raise LeaseHeldError(folder, holder.host, holder.pid, holder.age_s)
            lease = cls(folder, number + 1, Holder.this_process(), beat_every_s, monotonic)
            if lease._take():
                return lease

    def _take(self) -> bool:
        """Create the file of this lease; return whether it is the valid one."""
        draft = self._draft(self._holder)
        try:
            os.link(draft, self._path)
        except FileExistsError:
            # On network storage the response to a successful link may be lost, and its retry then fails.
            if draft.stat().st_nlink != 2:
                return False
        finally:
            draft.unlink()
        if _highest(self.folder) != self.token:
            # This process was suspended after it chose the number, and others have claimed higher ones.
            self._path.unlink(missing_ok=True)
            return False
        for number in _numbers(self.folder):
            if number < self.token:
                _path(self.folder, number).unlink(missing_ok=True)
        _log.info("lease %d of %s is held", self.token, self.folder)
        return True

    @property
    def _path(self) -> Path:
        return _path(self.folder, self.token)

    def _draft(self, holder: Holder) -> Path:
        """Write the content of the lease to a temporary file beside it."""
        draft = self.folder / f".draft-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            draft.write_text(holder.to_json(), encoding="utf-8")
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        return draft

    def _write(self, *, released: bool) -> None:
        self._last_beat_s = self._monotonic()
        self._holder = attrs.evolve(
            self._holder,
            age_s=round(self._last_beat_s - self._since_s, 1),
            beat=self._holder.beat + 1,
            released=released,
        )
        draft = self._draft(self._holder)
        try:
            draft.replace(self._path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def check(self) -> None:
        """Check that this process still holds the lease; call it before each write.

        Raises
        ------
        LeaseLostError
            If another process has taken over the lease.
        """
        highest = _highest(self.folder)
        if highest != self.token:
            raise LeaseLostError(self.token, highest)

    def beat(self) -> bool:
        """Write the heartbeat if its period has passed; call it in each turn of the loop.

        Returns
        -------
        bool
            Whether it was written.

        Raises
        ------
        LeaseLostError
            If another process has taken over the lease.
        """
        if self._monotonic() - self._last_beat_s < self._beat_every_s:
            return False
        self.check()
        self._write(released=False)
        return True

    def close(self) -> None:
        """Give up the lease if it is still held, so that the next daemon need not wait."""
        try:
            self.check()
            self._write(released=True)
        except LeaseLostError:
            return
        except OSError as error:
            _log.warning("lease %d of %s cannot be given back: %s", self.token, self.folder, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def current(folder: Path) -> Holder | None:
    """Return the holder of the lease of `folder`; None if it is free."""
    number = _highest(folder)
    holder = Holder.parse(_content(folder, number)) if number else None
    return None if holder is None or holder.released else holder


def _path(folder: Path, number: int) -> Path:
    return folder / f"lease.{number}"


def _numbers(folder: Path) -> list[int]:
    names = map(_NAME.fullmatch, os.listdir(folder))  # noqa: PTH208 - names are all that is wanted
    return [int(match[1]) for match in names if match]


def _highest(folder: Path) -> int:
    return max(_numbers(folder), default=0)


def _content(folder: Path, number: int) -> bytes | None:
    """Return the content of a lease; None if another lease has replaced it."""
    try:
        return _path(folder, number).read_bytes()
    except FileNotFoundError:
        return None


def _is_vacant(
    folder: Path, number: int, silent_after_s: float, monotonic: Callable[[], float], pause: Callable[[float], object]
) -> bool:
    """Return whether a lease is free: closed, or its holder has ended or stays silent."""
    first = _content(folder, number)
    holder = Holder.parse(first)
    if first is None:
        return False
    if holder is not None and (holder.released or holder.is_dead):
        return True
    begin_s = monotonic()
    while monotonic() - begin_s < silent_after_s:
        pause(silent_after_s / _LOOKS)
        now = _content(folder, number)
        latest = Holder.parse(now)
        if latest is not None and (latest.released or latest.is_dead):
            return True
        if now != first:
            return False
    _log.warning("lease %d of %s has been silent for %.0f s and is replaced", number, folder, silent_after_s)
    return True
