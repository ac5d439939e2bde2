"""Place files on a storage element, without overwriting any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ctao_bdms.errors import UploadError, UsageError
from ctao_bdms.storage.sinks import FileSink
from ctao_bdms.storage.webdav import WebDavSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.integrity import FileDigests
    from ctao_bdms.model import Lfn, Rse
    from ctao_bdms.storage.sinks import Sink

__all__ = ["lies_there", "open_sink", "place_file"]


def open_sink(rse: Rse) -> Sink:
    """Return the sink of a storage element.

    Raises
    ------
    UsageError
        If there is none from here.
    """
    url = urlsplit(rse.write_url)
    if url.scheme == "file" and url.hostname in {None, "localhost", "127.0.0.1"}:
        return FileSink(Path(unquote(url.path)))
    if url.scheme in {"http", "https"}:
        return WebDavSink(rse.write_url)
    raise UsageError(f"{rse.name} cannot be written from here: {rse.write_url or 'it has no protocol that writes'}")


def place_file(
    sink: Sink,
    source: Path,
    lfn: Lfn,
    *,
    size_bytes: int,
    adler32: str,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> bool:
    """Copy a file to a storage element, unless its name exists there.

    Parameters
    ----------
    lfn
        The name that it gets.
    size_bytes, adler32
        What it was when it was read: size in bytes and Adler-32.
    on_bytes
        Is told the number of bytes after each piece that was copied.

    Returns
    -------
    bool
        Whether these bytes lie there under the name; False if others do, which are left alone.

    Raises
    ------
    UploadError
        If other bytes arrived than were sent.
    OSError
        If the source cannot be read, or the storage element not be written.
    """
    sink.tidy(lfn)
    wanted = (size_bytes, adler32)
    # Two attempts at once: who comes second finds the bytes of the first, or what it takes away.
    while (stored := sink.stored(lfn)) is None:
        with sink.write(source, lfn, on_bytes) as part:
            arrived = part.read_back()
            if not _is(arrived, wanted):
                raise UploadError(
                    lfn.text,
                    f"{arrived.size_bytes} bytes with adler32 {arrived.digests['adler32']} arrived, and the file had "
                    f"{size_bytes} bytes with adler32 {adler32} when it was read; nothing was kept there",
                )
            if part.commit():
                return True
    return _is(stored, wanted)


def lies_there(sink: Sink, lfn: Lfn, *, size_bytes: int, adler32: str) -> bool | None:
    """Return whether a file on a storage element has these bytes; None if there is no file."""
    stored = sink.stored(lfn)
    return None if stored is None else _is(stored, (size_bytes, adler32))


def _is(found: FileDigests, wanted: tuple[int, str]) -> bool:
    return (found.size_bytes, found.digests["adler32"]) == wanted
