"""Classify failures: the transient ones by cause, which decides what waits."""

from __future__ import annotations

import errno
from concurrent.futures import BrokenExecutor
from enum import StrEnum
from typing import TYPE_CHECKING

from ctao_bdms.errors import (
    AuthenticationError,
    BdmsError,
    CatalogueError,
    JournalCorruptError,
    JournalLostError,
    JournalUnavailableError,
    LeaseLostError,
    NoWorkerError,
    StorageError,
)
from ctao_bdms.model import DefectKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctao_bdms.model import Defect

__all__ = ["Cause", "cause_of", "cause_of_defects", "is_unforeseen"]


class Cause(StrEnum):
    """The cause of a transient failure.

    The value is the stable word used in the journal, in metrics and in ``--json``.
    """

    #: The catalogue does not answer, or is temporarily unavailable.
    CATALOGUE = "catalogue"
    #: The catalogue rejects the credentials: an operator must renew them.
    CREDENTIALS = "credentials"
    #: The storage fails, or is full, read-only or not mounted.
    STORAGE = "storage"
    #: This machine lacks memory, processes or open files.
    MACHINE = "machine"
    #: The journal cannot be written.
    JOURNAL = "journal"
    #: A worker died or took too long while it read this file.
    WORKER = "worker"
    #: The file changed while it was read.
    CHANGING = "changing"
    #: The trigger exists, but the file does not.
    NO_FILE = "no-file"
    #: A bug of this software; the log has the traceback, and an operator must report it.
    FAILED = "failed"

    @property
    def is_shared(self) -> bool:
        """Whether all files wait for it, and not only the one that failed."""
        return self not in {Cause.WORKER, Cause.CHANGING, Cause.NO_FILE, Cause.FAILED}


_STORAGE = {
    errno.EIO,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EREMOTEIO,
    errno.ESHUTDOWN,
}
_MACHINE = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOBUFS}


def cause_of(error: BaseException) -> Cause | None:
    """Return the cause of a transient failure; None for a permanent one.

    Examples
    --------
    >>> cause_of(OSError(errno.EROFS, "Read-only file system"))
    <Cause.STORAGE: 'storage'>
    >>> print(cause_of(ValueError("no such night")))
    None
    """
    if isinstance(error, JournalUnavailableError):
        return Cause.JOURNAL
    if isinstance(error, AuthenticationError):
        return Cause.CREDENTIALS
    if isinstance(error, CatalogueError):
        return Cause.CATALOGUE if error.transient else None
    if isinstance(error, StorageError):
        return Cause.STORAGE
    if isinstance(error, NoWorkerError):
        return Cause.MACHINE
    if isinstance(error, BrokenExecutor | MemoryError):
        return Cause.WORKER
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno in _STORAGE:
            return Cause.STORAGE
        return Cause.MACHINE if error.errno in _MACHINE else None
    if isinstance(error, ConnectionError):
        return Cause.CATALOGUE
    if isinstance(error, TimeoutError):
        return Cause.WORKER  # without an errno it is our own time limit, and not that of the operating system
    return Cause.CHANGING if isinstance(error, BdmsError) and error.transient else None


def is_unforeseen(error: BaseException) -> bool:
    """Return whether a failure is unexpected: one file may cause it.

    Examples
    --------
    >>> is_unforeseen(OverflowError("Python int too large")), is_unforeseen(OSError(errno.EROFS, "Read-only"))
    (True, False)
    """
    shared = CatalogueError | JournalCorruptError | JournalLostError | LeaseLostError
    return isinstance(error, Exception) and not isinstance(error, shared) and cause_of(error) is None


_DEFECTS = {
    DefectKind.UNREADABLE: Cause.STORAGE,
    DefectKind.CHANGING: Cause.CHANGING,
    DefectKind.MISSING: Cause.NO_FILE,
    DefectKind.WORKER: Cause.WORKER,
    DefectKind.MACHINE: Cause.MACHINE,
}


def cause_of_defects(defects: Iterable[Defect]) -> Cause | None:
    """Return the cause, or None if a defect concerns the content of the file."""
    causes = [_DEFECTS.get(defect.kind) for defect in defects]
    return causes[0] if causes and None not in causes else None
