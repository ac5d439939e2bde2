"""What a transfer job is, and the state machine of FTS3 for its three types. Pure: no clock, no disk."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Checksum",
    "FileState",
    "JobState",
    "JobType",
    "NewFile",
    "NewJob",
    "Order",
    "Verify",
    "final_state",
    "first_states",
    "next_file",
]


class JobType(StrEnum):
    """How the files of a job depend on each other."""

    NORMAL = "N"  #: each file for itself
    MULTI_SOURCE = "R"  #: one destination, sources tried one after the other
    MULTI_HOP = "H"  #: each file follows the one before


class JobState(StrEnum):
    """The states of a job, as FTS3 names them."""

    SUBMITTED = "SUBMITTED"
    ACTIVE = "ACTIVE"
    FINISHED = "FINISHED"
    FINISHEDDIRTY = "FINISHEDDIRTY"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """True if nothing will change any more."""
        return self not in {JobState.SUBMITTED, JobState.ACTIVE}


class FileState(StrEnum):
    """The states of a file of a job, as FTS3 names them."""

    SUBMITTED = "SUBMITTED"
    ACTIVE = "ACTIVE"
    NOT_USED = "NOT_USED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class Verify(StrEnum):
    """Which ends of a copy are compared with the checksum."""

    NONE = "none"
    SOURCE = "source"
    TARGET = "target"
    BOTH = "both"

    @property
    def source(self) -> bool:
        """True if the source is compared."""
        return self in {Verify.SOURCE, Verify.BOTH}

    @property
    def target(self) -> bool:
        """True if the destination is read back and compared."""
        return self in {Verify.TARGET, Verify.BOTH}


@attrs.frozen
class Checksum:
    """A digest that a file should have.

    Attributes
    ----------
    algorithm
        ``adler32``, ``md5`` or ``sha256``.
    value
        Lower-case hexadecimal digits; an Adler-32 has all eight.
    """

    algorithm: str
    value: str


@attrs.frozen(kw_only=True)
class Order:
    """One copy to be made.

    Attributes
    ----------
    source, destination
        URLs.
    part
        The name that the copy has, in the destination's folder, until it is whole.
    size_bytes
        The size that the file should have, None if that is not known.
    checksum
        The digest that it should have, None if that is not known.
    verify
        Which ends are compared with it.
    overwrite
        True if a file that is at the destination may be replaced.
    resumed
        True if the service was stopped while it made this copy before.
    """

    source: str
    destination: str
    part: str
    size_bytes: int | None = None
    checksum: Checksum | None = None
    verify: Verify = Verify.BOTH
    overwrite: bool = False
    resumed: bool = False


@attrs.frozen(kw_only=True)
class NewFile:
    """One source and destination of a job that is being submitted; see `Order`. `metadata` is JSON."""

    source: str
    destination: str
    size_bytes: int | None
    checksum: Checksum | None
    verify: Verify
    overwrite: bool
    metadata: str


@attrs.frozen(kw_only=True)
class NewJob:
    """A job that is being submitted.

    Attributes
    ----------
    id
        A UUID.
    type
        How the files depend on each other.
    priority
        From 1 to 5; a higher one goes first.
    metadata, params
        JSON objects as the client gave them.
    files
        In the order in which they are tried.
    """

    id: str
    type: JobType
    priority: int
    metadata: str
    params: str
    files: tuple[NewFile, ...]


def first_states(job_type: JobType, files: int) -> list[FileState]:
    """Return the states in which the files of a new job begin."""
    if job_type is JobType.NORMAL:
        return [FileState.SUBMITTED] * files
    return [FileState.SUBMITTED] + [FileState.NOT_USED] * (files - 1)


def next_file(job_type: JobType, states: Sequence[FileState]) -> int | None:
    """Return the index of the file whose turn has come, now that none is waiting or being copied; None for the end.

    The next source is tried when all before it failed; the next hop is made when all before it succeeded.
    """
    so_far = {JobType.MULTI_SOURCE: FileState.FAILED, JobType.MULTI_HOP: FileState.FINISHED}.get(job_type)
    if so_far is None or FileState.NOT_USED not in states:
        return None
    turn = list(states).index(FileState.NOT_USED)
    return turn if all(state is so_far for state in states[:turn]) else None


def final_state(job_type: JobType, states: Sequence[FileState]) -> JobState:
    """Return the state of a job none of whose files will change any more."""
    seen = set(states)
    if FileState.CANCELED in seen:
        return JobState.CANCELED
    if job_type is JobType.MULTI_SOURCE:
        return JobState.FINISHED if FileState.FINISHED in seen else JobState.FAILED
    if seen == {FileState.FINISHED}:
        return JobState.FINISHED
    if job_type is JobType.MULTI_HOP or FileState.FINISHED not in seen:
        return JobState.FAILED
    return JobState.FINISHEDDIRTY
