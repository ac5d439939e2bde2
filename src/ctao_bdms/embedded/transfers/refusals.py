"""Errors of the transfer service, with FTS3's messages."""

from __future__ import annotations

from ctao_bdms.errors import BdmsError, EmbeddedError

__all__ = [
    "DatabaseInUseError",
    "DuplicateJobError",
    "InvalidRequestError",
    "TransferAbandonedError",
    "TransferFailedError",
]


class InvalidRequestError(BdmsError, ValueError):
    """A request of a client is invalid; the text says why."""


class DuplicateJobError(BdmsError, ValueError):
    """A job with that identifier exists."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the job {job_id} exists already")
        self.job_id = job_id


class DatabaseInUseError(EmbeddedError):
    """Another transfer service holds the database."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is in use by another transfer service; stop that one or choose another --database")
        self.path = path


class _NoCopyError(BdmsError):
    """A copy was not made.

    Attributes
    ----------
    leaves_part
        Whether its temporary file could not be removed and may still exist.
    """

    leaves_part = False


class TransferFailedError(_NoCopyError, OSError):
    """A copy failed.

    Parameters
    ----------
    scope
        ``SOURCE``, ``DESTINATION`` or ``TRANSFER``.
    code
        The `errno` of the failure.
    """

    def __init__(self, scope: str, code: int, text: str) -> None:
        super().__init__(f"{scope} [{code}] {text}")
        self.scope = scope
        self.code = code


class TransferAbandonedError(_NoCopyError):
    """A copy was abandoned because its job was cancelled or the service stops."""
