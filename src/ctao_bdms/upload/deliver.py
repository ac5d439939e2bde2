"""Bringing the bytes of a product to a storage element, so that its name there stands for them or for nothing.

The catalogue does not know the product yet. What lies under its name already was left by an attempt that ended before
it registered it, or is about to be registered by another one: the same bytes are as good as our own; others are an
obstacle until they are so old that nobody will register them any more.
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

#: After this time nobody registers any more what lies on a storage element under a product's name, in seconds.
ABANDONED_AFTER_S = 3600.0
#: What is older than this is looked at again right before it is registered, in seconds.
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
    """Bring a file to a storage element; what is there already is not brought again.

    Parameters
    ----------
    sink
        The storage element.
    source
        The file.
    lfn
        The name that it gets.
    size_bytes, adler32
        What it was when it was read: size in bytes and Adler-32.
    on_bytes
        Is told the number of bytes after each piece that was copied.

    Returns
    -------
    float
        How old that is which lies there now, in seconds.

    Raises
    ------
    UploadError
        If other bytes arrived than were sent, or another upload of the name is under way.
    OSError
        If the source cannot be read, or the storage element not be written.
    """
    while not place_file(sink, source, lfn, size_bytes=size_bytes, adler32=adler32, on_bytes=on_bytes):
        _clear(sink, lfn)
    return sink.age_s(lfn)


def recheck(sink: Sink, lfn: Lfn, *, size_bytes: int, adler32: str) -> None:
    """Make sure that what was brought to a storage element some time ago still lies there.

    Another upload of the name may have taken it for abandoned, and may have brought other bytes.

    Parameters
    ----------
    sink
        The storage element.
    lfn
        The name.
    size_bytes, adler32
        What was brought: size in bytes and Adler-32.

    Raises
    ------
    UploadError
        If it lies there no longer.
    OSError
        If the storage element cannot be read.
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
    """Take away other bytes that lie under a product's name, if they are so old that nobody will register them."""
    if (age_s := sink.age_s(lfn)) < ABANDONED_AFTER_S:
        raise UploadError(
            lfn.text,
            f"other bytes were brought there {age_s:.0f} s ago, and the catalogue does not know them yet; another "
            f"upload of that name seems to be under way. If it has died, try again in {ABANDONED_AFTER_S / 3600:.0f} h",
        )
    sink.remove(lfn)
