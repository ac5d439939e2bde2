"""The scan of a file that lies on a disk."""

from __future__ import annotations

import hashlib
import logging
import os
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.integrity.errors import NotAFileError, SourceChangedError, UnreadableError
from ctao_bdms.integrity.reading import open_source
from ctao_bdms.integrity.scanner import Scanner
from ctao_bdms.model import Defect, DefectKind, FileFacts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["scan"]

_log = logging.getLogger(__name__)


def scan(path: str | os.PathLike[str], *, on_bytes: Callable[[int], object] | None = None) -> FileFacts:
    """Prove a file in one pass over its bytes.

    Content never makes this raise. What cannot be read to the end, or changes meanwhile, has the verdict ``error`` and
    no digests, for they would be digests of something else.

    Parameters
    ----------
    path
        The file; symbolic links are followed.
    on_bytes
        Is told the number of bytes after each piece that was read, for progress.

    Returns
    -------
    FileFacts
        Size, ``adler32`` and ``sha256``, the parts of a FITS file with their sums, and everything that is wrong.

    Examples
    --------
    >>> facts = scan("/no/such/file.fits.fz")
    >>> facts.verdict.value, [defect.kind.value for defect in facts.defects]
    ('error', ['missing'])
    """
    text = os.fspath(path)
    try:
        with open_source(text) as source:
            scanner = Scanner(text, algorithms=("adler32",))
            sha256 = hashlib.sha256()
            source.read_through(scanner.feed, beside=sha256.update, on_bytes=on_bytes)
            facts = scanner.finish(text)
            return attrs.evolve(
                facts, modified_ns=source.modified_ns, digests={**facts.digests, "sha256": sha256.hexdigest()}
            )
    except SourceChangedError as error:
        kind, message = DefectKind.CHANGING, str(error)
    except NotAFileError as error:
        kind, message = DefectKind.NOT_A_FILE, str(error)
    except UnreadableError as error:
        kind, message = DefectKind.UNREADABLE, str(error)
    except (FileNotFoundError, NotADirectoryError):
        kind, message = DefectKind.MISSING, f"there is no file {text}"
    except OSError as error:
        kind, message = DefectKind.UNREADABLE, f"{text} cannot be opened: {error.strerror or error}"
    except ValueError:
        # An operating system's path holds no null character, and no lone surrogate.
        kind, message = DefectKind.MISSING, f"there is no file {text!a}: no file can have that name"
    _log.info("scan: %s", message)
    return FileFacts(path=text, size_bytes=0, modified_ns=0, digests={}, defects=(Defect(kind, message),))
