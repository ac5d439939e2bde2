"""What can go wrong in the transfer service, in the words of FTS3."""

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
    """A client asked for something that makes no sense; the text says what."""


class DuplicateJobError(BdmsError, ValueError):
    """A job of that identifier exists.

    Parameters
    ----------
    job_id
        The identifier.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the job {job_id} exists already")
        self.job_id = job_id


class DatabaseInUseError(EmbeddedError):
    """Another transfer service holds the database.

    Parameters
    ----------
    path
        The database file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is in use by another transfer service; stop that one or choose another --database")
        self.path = path


class _NoCopyError(BdmsError):
    """A copy was not made.

    Attributes
    ----------
    leaves_part
        Whether its temporary file may lie at the destination still, because it could not be removed.
    """

    leaves_part = False


class TransferFailedError(_NoCopyError, OSError):
    """A copy could not be made.

    Parameters
    ----------
    scope
        ``SOURCE``, ``DESTINATION`` or ``TRANSFER``.
    code
        The number that the operating system gives to this kind of trouble (`errno`).
    text
        What happened.
    """

    def __init__(self, scope: str, code: int, text: str) -> None:
        super().__init__(f"{scope} [{code}] {text}")
        self.scope = scope
        self.code = code


class TransferAbandonedError(_NoCopyError):
    """A copy was given up because its job was cancelled or the service stops."""
