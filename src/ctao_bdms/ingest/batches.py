"""Register files in batches of adaptive size, and isolate rejected files.

A batch is registered whole or not at all. If the catalogue rejects a batch for a reason that can be a single file, the
batch is halved until the file is found. Errors that concern all files (no permission, no credentials, no server, a
closed block) are raised at once.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.catalogue import FileCatalogue, RegistrationCatalogue
from ctao_bdms.errors import (
    AuthenticationError,
    BlockClosedError,
    CatalogueError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    UnknownRseError,
)
from ctao_bdms.model import Defect, DefectKind, Registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ctao_bdms.model import Did

__all__ = ["BatchCatalogue", "BatchSize", "Batches", "Refused"]

_LOG = logging.getLogger(__name__)
#: Errors that no single file of a batch causes.
_OF_ALL = (AuthenticationError, BlockClosedError, ForbiddenError, UnknownRseError)
#: After so many consecutive rejected files, the fault is in the catalogue, not in the files.
_HOPELESS = 8


@attrs.frozen(kw_only=True)
class BatchSize:
    """The size of the next batch, by the response time of the server.

    Additive increase, multiplicative decrease (D.-M. Chiu and R. Jain, Computer Networks and ISDN Systems 17 (1989) 1):
    several clients of one server converge to equal shares, without knowing of each other.

    Attributes
    ----------
    files
        Number of files in the next batch.
    largest
        Largest number of files in a batch.
    step
        Growth after a fast response, in files.
    target_s
        Longest response time that counts as fast, in seconds.

    Examples
    --------
    >>> size = BatchSize(files=300)
    >>> size.after_answer(300, 1.0).files, size.after_answer(300, 9.0).files, size.after_failure().files
    (350, 150, 150)
    """

    files: int = attrs.field(default=300, validator=attrs.validators.ge(1))
    largest: int = attrs.field(default=1000, validator=attrs.validators.ge(1))
    step: int = attrs.field(default=50, validator=attrs.validators.ge(1))
    target_s: float = 5.0

    def after_answer(self, n_files: int, elapsed_s: float) -> BatchSize:
        """Return the size after `n_files` were registered in `elapsed_s` seconds.

        A batch that was not full does not show how fast a larger one would be.
        """
        if elapsed_s > self.target_s:
            return attrs.evolve(self, files=max(1, min(self.files, n_files) // 2))
        if n_files >= self.files:
            return attrs.evolve(self, files=min(self.largest, self.files + self.step))
        return self

    def after_failure(self) -> BatchSize:
        """Return the size after a timeout, or after the server was unavailable."""
        return attrs.evolve(self, files=max(1, self.files // 2))


class BatchCatalogue(RegistrationCatalogue, FileCatalogue, Protocol):
    """The catalogue operations that registering batches needs."""


@attrs.frozen
class Refused:
    """A file that the catalogue rejected.

    Attributes
    ----------
    is_its_own_fault
        Whether the file itself is the reason: its name, its metadata, or other content under its name. Otherwise (for
        example, its scope does not exist) it may be registered later.
    """

    file: Registration
    error: CatalogueError
    is_its_own_fault: bool

    @property
    def is_conflict(self) -> bool:
        """Whether the catalogue was seen to hold other content under the same name."""
        return self.is_its_own_fault and isinstance(self.error, ConflictError)

    @property
    def defect(self) -> Defect:
        """The reason, as a defect of the file."""
        return Defect(DefectKind.CONFLICT if self.is_conflict else DefectKind.CATALOGUE, str(self.error))


class Batches:
    """Register files in batches.

    Parameters
    ----------
    size
        The size of the first batch.
    monotonic
        The clock for response times, in seconds.
    on_batch
        Called after each batch with its number of files and the response time in seconds.
    """

    def __init__(
        self,
        catalogue: BatchCatalogue,
        size: BatchSize | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        on_batch: Callable[[int, float], None] = lambda _files, _seconds: None,
    ) -> None:
        #: The size of the next batch.
        self.size = size or BatchSize()
        self._catalogue = catalogue
        self._monotonic = monotonic
        self._on_batch = on_batch
        #: Number of files rejected one by one since the last successful registration.
        self.refused = 0
        #: The error of the last rejected file.
        self.last_refusal: CatalogueError | None = None

    @property
    def rejects_all(self) -> bool:
        """Whether many consecutive files were rejected, so that the catalogue is at fault.

        The count continues over batches: a catalogue that rejects every file must not send a night to quarantine, even
        if the files come one by one.
        """
        return self.refused >= _HOPELESS

    def prepare(self, files: Sequence[Registration]) -> None:
        """Make the directories of all `files` in a few requests.

        If one directory cannot be made, its files fail when they are registered.

        Raises
        ------
        UnreachableError, AuthenticationError, ForbiddenError
            If no directory can be made.
        """
        try:
            self._catalogue.ensure_directories([file.lfn for file in files])
        except CatalogueError as error:
            if error.transient or isinstance(error, _OF_ALL):
                raise
            _LOG.info("some directories cannot be made: %s", error)

    def strangers(self, files: Sequence[Registration]) -> list[Refused]:
        """Return all `files`, which share a scope, as refused if the scope does not exist."""
        try:
            self._catalogue.ensure_directories([file.lfn for file in files[:1]])
        except NotFoundError as error:
            return [Refused(file, error, False) for file in files]
        except CatalogueError as error:
            if error.transient or isinstance(error, _OF_ALL):
                raise
            _LOG.info("a directory cannot be made: %s", error)
        return []

    def register(
        self, block: Did, rse: str, files: Sequence[Registration]
    ) -> Iterator[tuple[Registration, ...] | Refused]:
        """Register `files` in `block`; yield registered batches and refused files.

        Raises
        ------
        UnreachableError
            If the catalogue does not answer; files that were not yielded may be registered or not.
        AuthenticationError, BlockClosedError, ForbiddenError, UnknownRseError
            If no file can be registered.
        """
        place = 0
        while place < len(files):
            batch = tuple(files[place : place + self.size.files])
            place += len(batch)
            yield from self._isolated(block, rse, batch)

    def _isolated(
        self, block: Did, rse: str, files: tuple[Registration, ...]
    ) -> Iterator[tuple[Registration, ...] | Refused]:
        """Register `files`; halve a rejected batch until the bad file is isolated.

        A refused file is yielded only after another file was registered, which shows that the catalogue works.
        """
        # While the catalogue rejects every file, try a single one first.
        left = [part for part in (files[1:], files[:1]) if part] if self.rejects_all else [files]
        held: list[Refused] = []
        is_any_taken = False
        while left:
            part = left.pop()
            try:
                self._register(block, rse, part)
            except CatalogueError as error:
                if error.transient or isinstance(error, _OF_ALL):
                    raise
                if len(part) > 1:
                    half = len(part) // 2
                    left += [part[half:], part[:half]]
                    continue
                held.append(self._refused(part[0], error))
                self.last_refusal = error
                self.refused += 0 if is_any_taken or held[-1].is_conflict else 1
                if self.rejects_all:
                    yield from (each if each.is_conflict else Refused(each.file, each.error, False) for each in held)
                    yield from (Refused(file, error, False) for rest in reversed(left) for file in rest)
                    return
            else:
                self.refused, is_any_taken = 0, True
                yield from held
                held.clear()
                yield part
        yield from held

    def _refused(self, file: Registration, error: CatalogueError) -> Refused:
        """Return `file` as refused; a conflict counts only if other content is there."""
        known = self._catalogue.files([file.lfn]).get(file.lfn) if isinstance(error, ConflictError) else None
        differs = known is not None and (known.size_bytes, known.adler32) != (file.size_bytes, file.adler32)
        return Refused(file, error, differs or isinstance(error, RefusedError))

    def _register(self, block: Did, rse: str, files: tuple[Registration, ...]) -> None:
        """Register `files` in one request, and adapt the batch size to the response time."""
        begin = self._monotonic()
        try:
            self._catalogue.ensure_directories([file.lfn for file in files])
            self._catalogue.register(block, rse, files)
        except CatalogueError as error:
            if error.transient:
                self.size = self.size.after_failure()
            raise
        elapsed_s = self._monotonic() - begin
        self.size = self.size.after_answer(len(files), elapsed_s)
        self._on_batch(len(files), elapsed_s)
