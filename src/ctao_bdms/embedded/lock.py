"""One supervisor per home."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from ctao_bdms.errors import HomeInUseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.embedded.home import Home

__all__ = ["claimed"]


@contextlib.contextmanager
def claimed(home: Home) -> Iterator[int]:
    """Hold the lock of `home`, which the system releases when this process ends, however it does.

    Yields
    ------
    int
        The file descriptor that holds the lock; a child that keeps it open would keep the lock.

    Raises
    ------
    HomeInUseError
        If another process holds it.
    """
    descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HomeInUseError(home.path, int(os.pread(descriptor, 32, 0) or 0)) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)
