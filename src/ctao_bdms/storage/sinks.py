"""Where the bytes of a product go: a port of four verbs, and the storage element whose files lie on this machine.

Bytes arrive under a temporary name that says which product they are of, are read back, and take the product's name in
one step that never replaces anything. Whoever writes holds a lock on what it writes, which ends with its process: what
nobody holds is left over, and may be removed.

Whoever may still register what lies in a folder holds a claim on it: a shared lock on the folder. Who takes back what
nobody will register needs the folder alone.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import os
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ctao_bdms.durable import opened_folder, sync_file, sync_folder, write_all
from ctao_bdms.integrity import FileDigests, digest_file
from ctao_bdms.integrity.source import open_source
from ctao_bdms.naming import path_of_lfn
from ctao_bdms.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ctao_bdms.model import Lfn

__all__ = ["Claim", "FileSink", "PartialFile", "Sink", "temporary_prefix"]

#: Errors of file systems without locks on folders: nobody can claim a folder there, and nobody removes files again.
_NO_LOCKS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class PartialFile(Protocol):
    """Bytes under a temporary name."""

    def read_back(self) -> FileDigests:
        """Return size and Adler-32 of the bytes on the storage."""

    def commit(self) -> bool:
        """Rename to the product's name; change nothing and return False if that exists."""


class Claim(Protocol):
    """A claim on a folder: its files may be registered soon."""

    def renew(self) -> None:
        """Renew the claim: without locks, an old claim is taken for one of a dead process."""


class Sink(Protocol):
    """A storage element that takes products."""

    def stored(self, lfn: Lfn) -> FileDigests | None:
        """Return size and Adler-32 of a product; None if there is no such file."""

    def age_s(self, lfn: Lfn) -> float:
        """Return the age of a product's file, in seconds."""

    def remove(self, lfn: Lfn) -> None:
        """Remove a product's file, if there is one."""

    def claim(self, lfn: Lfn) -> AbstractContextManager[Claim]:
        """Claim the folder of a product, so that nobody removes its files meanwhile."""

    def take_back(self, lfn: Lfn, is_known: Callable[[], bool]) -> bool:
        """Remove what lies under a product's name, unless the folder is claimed or `is_known` says that it counts.

        Returns whether it is gone.
        """

    def tidy(self, lfn: Lfn) -> None:
        """Remove temporary files of attempts that have died."""

    def write(self, source: Path, lfn: Lfn, on_bytes: Callable[[int], object]) -> AbstractContextManager[PartialFile]:
        """Copy a file to a temporary name, which is gone at the end."""


def temporary_prefix(lfn: Lfn) -> str:
    """Return the prefix of the temporary names of a product.

    Examples
    --------
    >>> from ctao_bdms.model import Lfn
    >>> temporary_prefix(Lfn("/ctao/dpps/x.h5"))
    '.bdms-f9b1678c8c5f1d3f-'
    """
    return f".bdms-{hashlib.sha256(lfn.text.encode()).hexdigest()[:16]}-"


class FileSink(Sink):
    """A storage element whose files lie on this machine, or on a file system that it has mounted.

    Parameters
    ----------
    root
        Its folder: the prefix of all its files.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @override
    def stored(self, lfn: Lfn) -> FileDigests | None:
        try:
            return digest_file(self._path(lfn))
        except FileNotFoundError:
            return None

    @override
    def age_s(self, lfn: Lfn) -> float:
        return time.time() - self._path(lfn).stat().st_mtime

    @override
    def remove(self, lfn: Lfn) -> None:
        self._path(lfn).unlink(missing_ok=True)

    @override
    @contextmanager
    def claim(self, lfn: Lfn) -> Iterator[FileClaim]:
        folder = self._path(lfn).parent
        folder.mkdir(parents=True, exist_ok=True)
        with opened_folder(folder) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            yield FileClaim()

    @override
    def take_back(self, lfn: Lfn, is_known: Callable[[], bool]) -> bool:
        path = self._path(lfn)
        with opened_folder(path.parent) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if is_known():
                return False
            path.unlink(missing_ok=True)
        return True

    @override
    def tidy(self, lfn: Lfn) -> None:
        _sweep(self._path(lfn).parent, temporary_prefix(lfn))

    @override
    @contextmanager
    def write(self, source: Path, lfn: Lfn, on_bytes: Callable[[int], object]) -> Iterator[LocalPartialFile]:
        target = self._path(lfn)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary, descriptor = _locked(target.parent, temporary_prefix(lfn))
        try:
            _copy(source, descriptor, on_bytes)
            yield LocalPartialFile(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)

    def _path(self, lfn: Lfn) -> Path:
        return Path(path_of_lfn(lfn, self._root))


class FileClaim(Claim):
    """A claim that lasts as long as its process holds the lock."""

    @override
    def renew(self) -> None:
        """Do nothing, as a lock does not expire."""


class LocalPartialFile(PartialFile):
    """Bytes under a temporary name in the folder of the product."""

    def __init__(self, temporary: Path, target: Path) -> None:
        self._temporary = temporary
        self._target = target

    @override
    def read_back(self) -> FileDigests:
        """Return size and Adler-32 of what lies on the storage: the bytes come from the medium, not from memory."""
        return digest_file(self._temporary)

    @override
    def commit(self) -> bool:
        try:
            os.link(self._temporary, self._target)
        except FileExistsError:
            return False
        sync_folder(self._target.parent)
        return True


def _copy(source: Path, descriptor: int, on_bytes: Callable[[int], object]) -> None:
    """Copy a file to an open one, and wait until its bytes are on the disk."""
    with open_source(source) as opened:
        opened.read_through(functools.partial(write_all, descriptor), on_bytes=on_bytes)
    sync_file(descriptor)


def _locked(folder: Path, prefix: str) -> tuple[Path, int]:
    """Make a temporary file and lock it; another attempt that sweeps in between takes it for left over."""
    while True:
        path = folder / f"{prefix}{secrets.token_hex(4)}.part"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)


def _sweep(folder: Path, prefix: str) -> None:
    """Remove temporary files of dead attempts from a folder."""
    for left in folder.glob(f"{prefix}*.part"):
        with suppress(FileNotFoundError):
            descriptor = os.open(left, os.O_WRONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            except BlockingIOError:
                continue  # somebody writes it now
            finally:
                os.close(descriptor)
