"""Scan a file on disk."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import MissingExtraError
from ctao_bdms.integrity.checksums import new_digests
from ctao_bdms.integrity.errors import NotAFileError, SourceChangedError, UnreadableError
from ctao_bdms.integrity.scanner import Scanner
from ctao_bdms.integrity.source import open_source
from ctao_bdms.model import Defect, DefectKind, FileFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctao_bdms.integrity.checksums import Digest
    from ctao_bdms.integrity.source import SourceFile

__all__ = ["scan"]

#: Smaller files are read in full even if a preview finds defects, to report all defects and digests.
_PREVIEW_ABOVE_BYTES = 256_000_000

_log = logging.getLogger(__name__)


def scan(
    path: str | os.PathLike[str],
    algorithms: Iterable[str] = ("adler32", "sha256"),
    *,
    on_bytes: Callable[[int], object] | None = None,
    keep_cached: bool = True,
) -> FileFacts:
    """Check a file in one pass.

    No content raises an exception. The verdict is ``error``, without digests, if the file cannot be read to the end,
    changes during the read, or needs a library that is not installed (its defect names the package).

    Parameters
    ----------
    path
        The file; symbolic links are followed.
    algorithms
        The digests to compute in addition to ``adler32``: any that `hashlib` guarantees. Those of a large file are
        computed in a separate thread.
    on_bytes
        Called with the number of bytes after each piece, for progress.
    keep_cached
        Whether the operating system may keep the file in the page cache.

    Returns
    -------
    FileFacts
        Size, digests, the HDUs of a FITS file with their checksums, and all defects.

    Raises
    ------
    ctao_bdms.errors.UsageError
        If there is no such digest.

    Examples
    --------
    >>> facts = scan("/no/such/file.fits.fz")
    >>> facts.verdict.value, [defect.kind.value for defect in facts.defects]
    ('error', ['missing'])
    """
    text = os.fspath(path)
    slow = new_digests(name for name in dict.fromkeys(algorithms) if name != "adler32")
    try:
        with open_source(text, keep_cached=keep_cached) as source:
            return _read(source, slow, on_bytes)
    except SourceChangedError as error:
        kind, message = DefectKind.CHANGING, str(error)
    except NotAFileError as error:
        kind, message = DefectKind.NOT_A_FILE, str(error)
    except UnreadableError as error:
        kind, message = DefectKind.UNREADABLE, str(error)
    except MissingExtraError as error:
        kind, message = DefectKind.UNEXAMINED, str(error)
    except (FileNotFoundError, NotADirectoryError):
        kind, message = DefectKind.MISSING, f"there is no file {text if text.isprintable() else ascii(text)}"
    except OSError as error:
        kind, message = DefectKind.UNREADABLE, f"{text} cannot be opened: {error.strerror or error}"
    _log.info("scan: %s", message)
    return FileFacts(path=text, size_bytes=0, modified_ns=0, digests={}, defects=(Defect(kind, message),))


def _read(source: SourceFile, slow: Mapping[str, Digest], on_bytes: Callable[[int], object] | None) -> FileFacts:
    """Read a file through the checks and the digests; the `slow` ones in a thread of their own."""

    def beside(piece: memoryview) -> None:
        for digest in slow.values():
            digest.update(piece)

    scanner = Scanner(source.path, algorithms=("adler32",))
    facts = scanner.preview(source) if source.size_bytes > _PREVIEW_ABOVE_BYTES else None
    if facts is None:
        source.read_through(scanner.feed, beside=beside if slow else None, on_bytes=on_bytes)
        digests = {name: digest.hexdigest() for name, digest in slow.items()}
        facts = scanner.finish(source.path, modified_ns=source.status.st_mtime_ns, digests=digests)
    source.demand_unchanged(with_status=True)
    return attrs.evolve(facts, inode=source.status.st_ino, changed_ns=source.status.st_ctime_ns)
