"""Upload one product atomically: its name has the complete product or nothing.

The catalogue does not know the product yet. A file that exists under its name was left by an upload that crashed, or
is about to be registered by another upload. The same content is used as it is; other content is an error until it is
so old that no upload will register it any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.errors import UploadError
from ctao_bdms.storage import lies_there, place_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctao_bdms.model import Lfn
    from ctao_bdms.storage import Sink

__all__ = ["ABANDONED_AFTER_S", "RECHECK_AFTER_S", "deliver", "recheck"]

#: Age after which an uploaded file that is not registered is abandoned, in seconds.
ABANDONED_AFTER_S = 3600.0
#: Age after which an uploaded file is checked again before it is registered, in seconds.
RECHECK_AFTER_S = 600.0


def deliver(
    sink: Sink,
    source: Path,
    lfn: Lfn,
    *,
    size_bytes: int,
    adler32: str,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> float:
    """Upload a file, unless it is there already; return its age on the storage.

    Parameters
    ----------
    size_bytes, adler32
        Size in bytes and Adler-32 of the file when it was read.
    on_bytes
        Called with the number of bytes after each copied piece.

    Returns
    -------
    float
        The age of the file on the storage, in seconds.

    Raises
    ------
    UploadError
        If the upload was corrupted, or another upload of the same name is in progress.
    OSError
        If the source cannot be read, or the storage cannot be written.
    """
    while not place_file(sink, source, lfn, size_bytes=size_bytes, adler32=adler32, on_bytes=on_bytes):
        _clear(sink, lfn)
    return sink.age_s(lfn)


def recheck(sink: Sink, lfn: Lfn, *, size_bytes: int, adler32: str) -> None:
    """Check that a file that was uploaded some time ago is still there.

    Another upload of the same name may have replaced it as abandoned.

    Raises
    ------
    UploadError
        If the file is missing or was replaced.
    OSError
        If the storage cannot be read.
    """
    is_it = lies_there(sink, lfn, size_bytes=size_bytes, adler32=adler32)
    if not is_it:
        what = "what was brought lies there no longer" if is_it is None else "other bytes lie there than were brought"
        raise UploadError(
            lfn.text,
            f"{what}: while the files of its block were uploaded, another upload took that name. It was not "
            "registered; put it again to see what the archive holds then",
        )


def _clear(sink: Sink, lfn: Lfn) -> None:
    """Remove an abandoned file with other content under the same name."""
    if (age_s := sink.age_s(lfn)) < ABANDONED_AFTER_S:
        raise UploadError(
            lfn.text,
            f"other bytes were brought there {age_s:.0f} s ago, and the catalogue does not know them yet; another "
            f"upload of that name seems to be under way. If it has died, try again in {ABANDONED_AFTER_S / 3600:.0f} h",
        )
    sink.remove(lfn)
