"""Write real DL0 files, as the array control and data acquisition (ACADA) does on site.

The files are zFITS of the DL0v1 data model, written with ``protozfits``: the same library, tables, checksums, headers
and names as the real ones, each with its trigger. The same `Dl0Spec` gives the same bytes at any time and on any
machine with the same versions of ``protozfits`` and ``numpy``: the time stamps (DATE and DATE-END in every table) are
set to the times of the data, as when a telescope writes.
"""

from __future__ import annotations

import ctypes
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import MissingExtraError
from ctao_bdms.inbox import TRIGGER_SUFFIX
from ctao_bdms.integrity import digest_file
from ctao_bdms.naming import path_of_lfn
from ctao_bdms.testing.dl0_content import stamp, tables
from ctao_bdms.testing.dl0_spec import Dl0Kind, Dl0Spec, night_specs

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from ctao_bdms.model import Lfn

__all__ = [
    "Dl0Kind",
    "Dl0Spec",
    "WrittenFile",
    "night_specs",
    "write_content",
    "write_dl0",
    "write_night",
]

_ROWS_PER_TILE = 100
_BADBIT = 1
_cout_lock = threading.Lock()


@attrs.frozen(kw_only=True)
class WrittenFile:
    """A file that was written.

    Attributes
    ----------
    spec
        Its specification.
    path, trigger
        The paths of the file and its trigger.
    size_bytes
        Its size in bytes.
    adler32, sha256
        Its digests, lower-case hexadecimal.
    """

    spec: Dl0Spec
    path: Path
    trigger: Path
    size_bytes: int
    adler32: str
    sha256: str

    @property
    def lfn(self) -> Lfn:
        """Its logical file name."""
        return self.spec.lfn


def write_dl0(spec: Dl0Spec, root: str | os.PathLike[str], *, trigger: bool = True) -> WrittenFile:
    """Write one file, then its trigger.

    Parameters
    ----------
    spec
        The file to write.
    root
        The storage root; missing folders are created.
    trigger
        Whether to write the trigger.

    Raises
    ------
    MissingExtraError
        If ``protozfits`` is not installed.
    """
    path = Path(path_of_lfn(spec.lfn, Path(root)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_content(spec, path)
    mark = path.with_name(path.name + TRIGGER_SUFFIX)
    if trigger:
        mark.unlink(missing_ok=True)
        mark.symlink_to(path.name)
    size_bytes, digests = digest_file(path, ("adler32", "sha256"))
    return WrittenFile(spec=spec, path=path, trigger=mark, size_bytes=size_bytes, **digests)


def write_night(
    root: str | os.PathLike[str],
    specs: Iterable[Dl0Spec],
    on_file: Callable[[WrittenFile], object] | None = None,
) -> list[WrittenFile]:
    """Write many files; return them in the order of `specs`.

    Parameters
    ----------
    root
        The storage root.
    specs
        The files to write, e.g. from `night_specs`.
    on_file
        Called with each file after its trigger is written.
    """
    written = []
    for spec in specs:
        written.append(write_dl0(spec, root))
        if on_file is not None:
            on_file(written[-1])
    return written


def write_content(spec: Dl0Spec, path: Path) -> None:
    """Write the content of a file to any path, without folders and trigger.

    Raises
    ------
    MissingExtraError
        If ``protozfits`` is not installed.
    """
    try:
        from protozfits import FlatProtobufZOFits
    except ImportError as error:
        raise MissingExtraError("embedded", "protozfits") from error
    stamps = {"DATE": stamp(spec.start), "DATE-END": stamp(spec.stop)}
    with _silent_cout():
        writer = FlatProtobufZOFits(
            n_tiles=max(10, -(-spec.events // _ROWS_PER_TILE) + 1),
            rows_per_tile=_ROWS_PER_TILE,
            compression_block_size_kb=100 * 1024,
        )
        with writer:
            writer.open(str(path))
            for table, cards, messages in tables(spec):
                writer.move_to_new_table(table)
                for keyword, value in {**cards, **stamps}.items():
                    (writer.set_int if isinstance(value, int) else writer.set_string)(keyword, value)
                for message in messages:
                    writer.write_message(message)


@contextmanager
def _silent_cout() -> Iterator[None]:
    """Suppress the output of the C++ layer of ``protozfits`` for every file, which has no option.

    Only the stream ``std::cout`` is disabled. Redirecting the file descriptor would lose what other threads print in
    the meantime, for example a progress bar.
    """
    try:
        library = ctypes.CDLL("libstdc++.so.6")
        stream = ctypes.addressof(ctypes.c_char.in_dll(library, "_ZSt4cout"))
        clear = library["_ZNSt9basic_iosIcSt11char_traitsIcEE5clearESt12_Ios_Iostate"]
    except (OSError, ValueError, AttributeError):  # another C++ library: its output is not suppressed
        yield
        return
    # The state is in the virtual base std::ios; its offset is stored three words before the virtual function table.
    table = ctypes.c_void_p.from_address(stream).value or 0
    state = ctypes.c_void_p(stream + ctypes.c_ssize_t.from_address(table - 3 * ctypes.sizeof(ctypes.c_void_p)).value)
    with _cout_lock:
        clear(state, _BADBIT)
        try:
            yield
        finally:
            clear(state, 0)
