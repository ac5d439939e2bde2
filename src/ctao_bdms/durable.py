"""Durable changes of files and folders, which survive a power cut."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["opened_folder", "replace_text", "sync_file", "sync_folder", "write_all"]


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """Yield a descriptor of a folder, to sync or to lock it; closing it ends the locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    with opened_folder(folder) as descriptor:
        os.fsync(descriptor)


def sync_file(descriptor: int) -> None:
    """Wait until the bytes of a file are on the disk, and drop them from the page cache."""
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def write_all(descriptor: int, piece: memoryview) -> None:
    """Write a piece to a file, in as many calls as the system needs."""
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def replace_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Replace a small file in one step, and wait until it is on the disk.

    Parameters
    ----------
    mode
        Its permissions, less those that the umask takes away; 0o600 for secrets.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
