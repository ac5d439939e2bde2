"""Errors of reading and writing single files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.errors import BdmsError

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["ChecksumMismatchError", "NotAFileError", "ScanInterruptedError", "SourceChangedError", "UnreadableError"]


class NotAFileError(BdmsError, OSError):
    """The path is not a regular file.

    Parameters
    ----------
    what
        Its type, for example ``directory``.
    """

    def __init__(self, path: str | PathLike[str], what: str) -> None:
        super().__init__(f"{path} is a {what}, not a file")
        self.path = path
        self.what = what


class UnreadableError(BdmsError, OSError):
    """The operating system failed to read from an open file.

    Parameters
    ----------
    position
        The number of bytes read before.
    cause
        The error of the operating system; its `errno` is kept.
    """

    def __init__(self, path: str | PathLike[str], position: int, cause: OSError) -> None:
        super().__init__(f"{path} cannot be read at byte {position}: {cause.strerror or cause}")
        self.path = path
        self.position = position
        self.errno = cause.errno


class ScanInterruptedError(BdmsError, RuntimeError):
    """A scanning process was killed."""


class SourceChangedError(BdmsError, OSError):
    """A file was changed or replaced while it was being read."""

    transient = True

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(f"{path} changed while it was being read; try again when its writer has finished")
        self.path = path


class ChecksumMismatchError(BdmsError, OSError):
    """A size or digest does not match the expected one.

    Parameters
    ----------
    path
        The file whose bytes were measured.
    what
        ``size``, or the name of the digest.
    expected, found
        The two values.
    """

    def __init__(self, path: str | PathLike[str], what: str, expected: str, found: str) -> None:
        super().__init__(f"{path} has {what} {found}, but {expected} was expected")
        self.path = path
        self.what = what
        self.expected = expected
        self.found = found
