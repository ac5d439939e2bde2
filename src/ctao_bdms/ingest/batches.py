"""Registering files in batches: their size follows the server's answers, and a bad file does not stop the others.

A batch is registered whole or not at all. If the catalogue refuses one for a reason that can lie in a single file, the
batch is halved until the file stands alone. What concerns them all (no right, no credentials, no server, a closed
block) is raised at once.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.catalogue import Lookup, Register
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

__all__ = ["BatchSize", "Batches", "Refused", "BatchCatalogue"]

_LOG = logging.getLogger(__name__)
#: Errors that no file of a batch is to blame for.
_OF_ALL = (AuthenticationError, BlockClosedError, ForbiddenError, UnknownRseError)
#: After so many files that were refused one by one and none that was taken, the fault is not theirs.
_HOPELESS = 8


@attrs.frozen(kw_only=True)
class BatchSize:
    """The size of the next batch: more while the server answers quickly, fewer as soon as it does not.

    Additive increase, multiplicative decrease (D.-M. Chiu and R. Jain, Computer Networks and ISDN Systems 17 (1989) 1):
    several clients of one server so come to equal shares, without knowing of each other.

    Attributes
    ----------
    files
        How many files it takes.
    largest
        The most files that a batch may take.
    step
        By how many files it grows.
    target_s
        The time that an answer may take, in seconds.

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

        A batch that was not full says nothing of larger ones.
        """
        if elapsed_s > self.target_s:
            return attrs.evolve(self, files=max(1, min(self.files, n_files) // 2))
        if n_files >= self.files:
            return attrs.evolve(self, files=min(self.largest, self.files + self.step))
        return self

    def after_failure(self) -> BatchSize:
        """Return the size after the server did not answer in time, or said that it cannot serve now."""
        return attrs.evolve(self, files=max(1, self.files // 2))


class BatchCatalogue(Register, Lookup, Protocol):
    """What registering asks of a catalogue."""


@attrs.frozen
class Refused:
    """A file that the catalogue does not take.

    Attributes
    ----------
    file
        The file.
    error
        What the catalogue says.
    is_its_own_fault
        Whether the file itself is the reason: its name, its metadata, or other content under its name. Otherwise, a
        scope that does not exist for one, it may be taken another time.
    """

    file: Registration
    error: CatalogueError
    is_its_own_fault: bool

    @property
    def is_conflict(self) -> bool:
        """Whether the catalogue holds other content under its name, which was looked at."""
        return self.is_its_own_fault and isinstance(self.error, ConflictError)

    @property
    def defect(self) -> Defect:
        """The reason, as a defect of the file."""
        return Defect(DefectKind.CONFLICT if self.is_conflict else DefectKind.CATALOGUE, str(self.error))


class Batches:
    """Registers files in batches.

    Parameters
    ----------
    catalogue
        Where.
    size
        How many files at once, to begin with.
    monotonic
        A clock in seconds that never goes back.
    on_batch
        Called after each batch with the number of its files, and the seconds that the answer took.
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
        #: How many files were refused one by one since the last one was taken.
        self.refused = 0
        #: What the catalogue said of the last of them.
        self.last_refusal: CatalogueError | None = None

    @property
    def takes_nothing(self) -> bool:
        """Whether so many files were refused in a row that no file is to blame any more.

        A trickle of single files counts as one batch does: a server that refuses everything must not send a night to
        quarantine, however slowly the night comes in.
        """
        return self.refused >= _HOPELESS

    def prepare(self, files: Sequence[Registration]) -> None:
        """Make the directories of all `files` in a few requests.

        If one of them cannot be, the files that need it are found when they are registered.

        Raises
        ------
        UnreachableError, AuthenticationError, ForbiddenError
            If none of them can be made.
        """
        try:
            self._catalogue.ensure_directories([file.lfn for file in files])
        except CatalogueError as error:
            if error.transient or isinstance(error, _OF_ALL):
                raise
            _LOG.info("some directories cannot be made: %s", error)

    def strangers(self, files: Sequence[Registration]) -> list[Refused]:
        """Return `files`, which share a scope, as refused if the scope does not exist; otherwise nothing."""
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
        """Register `files` at `rse` and in `block`; yield what was registered, and what was refused, as it happens.

        Raises
        ------
        UnreachableError
            If the catalogue does not answer; what was not yielded until then may be registered or not.
        AuthenticationError, BlockClosedError, ForbiddenError, UnknownRseError
            If none of the files can be registered.
        """
        place = 0
        while place < len(files):
            batch = tuple(files[place : place + self.size.files])
            place += len(batch)
            yield from self._isolated(block, rse, batch)

    def _isolated(
        self, block: Did, rse: str, files: tuple[Registration, ...]
    ) -> Iterator[tuple[Registration, ...] | Refused]:
        """Register `files`, by halves where they are refused together.

        A refusal is held back until another file is taken: then the catalogue works, and the file is to blame.
        """
        # While nothing is taken, one file shows whether that is still so.
        left = [part for part in (files[1:], files[:1]) if part] if self.takes_nothing else [files]
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
                if self.takes_nothing:
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
        """Say whose fault it is that `file` alone is refused: a conflict is its own if the other content is there."""
        known = self._catalogue.files([file.lfn]).get(file.lfn) if isinstance(error, ConflictError) else None
        differs = known is not None and (known.size_bytes, known.adler32) != (file.size_bytes, file.adler32)
        return Refused(file, error, differs or isinstance(error, RefusedError))

    def _register(self, block: Did, rse: str, files: tuple[Registration, ...]) -> None:
        """Register `files` in one go, and learn from the time that it takes."""
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
