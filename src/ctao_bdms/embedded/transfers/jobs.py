"""Transfer jobs, and FTS3's state machine for their three types. Pure: no clock, no disk."""

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
    """The dependency between the files of a job."""

    NORMAL = "N"  #: independent files
    MULTI_SOURCE = "R"  #: one destination, alternative sources
    MULTI_HOP = "H"  #: each file is copied after the previous one


class JobState(StrEnum):
    """The states of a job, with FTS3's names."""

    SUBMITTED = "SUBMITTED"
    ACTIVE = "ACTIVE"
    FINISHED = "FINISHED"
    FINISHEDDIRTY = "FINISHEDDIRTY"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """True if the job has ended."""
        return self not in {JobState.SUBMITTED, JobState.ACTIVE}


class FileState(StrEnum):
    """The states of a file of a job, with FTS3's names."""

    SUBMITTED = "SUBMITTED"
    ACTIVE = "ACTIVE"
    NOT_USED = "NOT_USED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class Verify(StrEnum):
    """The ends of a copy that are compared with the checksum."""

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
    """The expected checksum of a file.

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
    """One copy to make.

    Attributes
    ----------
    source, destination
        URLs.
    part
        The name of the temporary file, in the destination's folder.
    size_bytes
        The expected size, None if unknown.
    checksum
        The expected checksum, None if unknown.
    verify
        The ends that are compared with it.
    overwrite
        True if an existing file at the destination may be replaced.
    resumed
        True if the service was stopped during an earlier attempt.
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
    priority
        From 1 to 5; higher ones are first.
    metadata, params
        JSON objects of the client.
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
    """Return the initial states of the files of a new job."""
    if job_type is JobType.NORMAL:
        return [FileState.SUBMITTED] * files
    return [FileState.SUBMITTED] + [FileState.NOT_USED] * (files - 1)


def next_file(job_type: JobType, states: Sequence[FileState]) -> int | None:
    """Return the index of the next file to copy when none is queued or active; None if there is none.

    The next source is tried when all previous ones failed; the next hop is made when all previous ones succeeded.
    """
    so_far = {JobType.MULTI_SOURCE: FileState.FAILED, JobType.MULTI_HOP: FileState.FINISHED}.get(job_type)
    if so_far is None or FileState.NOT_USED not in states:
        return None
    turn = list(states).index(FileState.NOT_USED)
    return turn if all(state is so_far for state in states[:turn]) else None


def final_state(job_type: JobType, states: Sequence[FileState]) -> JobState:
    """Return the state of a job whose files have all ended."""
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
