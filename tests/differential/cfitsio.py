"""CFITSIO, as Debian's package `libcfitsio10` brings it: the few calls that walk a file and verify its sums."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import SumStatus
from tests.debian import demand
from tests.differential.views import Part, View

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["by_cfitsio", "version"]

_READONLY = 0
_END_OF_FILE = 107
_MESSAGE_BYTES = 81
_STATUS = {1: SumStatus.OK, 0: SumStatus.ABSENT, -1: SumStatus.BAD}

_INT = ctypes.POINTER(ctypes.c_int)
_LONGLONG = ctypes.POINTER(ctypes.c_longlong)
_HANDLE = ctypes.c_void_p

_NAME = "libcfitsio.so.10"


def _is_there() -> bool:
    try:
        ctypes.CDLL(_NAME)
    except OSError:
        return False
    return True


demand("libcfitsio10", there=_is_there())
_library = ctypes.CDLL(_NAME)
_library.ffdkopn.argtypes = [ctypes.POINTER(_HANDLE), ctypes.c_char_p, ctypes.c_int, _INT]
_library.ffmrhd.argtypes = [_HANDLE, ctypes.c_int, _INT, _INT]
_library.ffghadll.argtypes = [_HANDLE, _LONGLONG, _LONGLONG, _LONGLONG, _INT]
_library.ffvcks.argtypes = [_HANDLE, _INT, _INT, _INT]
_library.ffclos.argtypes = [_HANDLE, _INT]
_library.ffgmsg.argtypes = [ctypes.c_char_p]
_library.ffgmsg.restype = ctypes.c_int
_library.ffcmsg.restype = None
_library.ffvers.argtypes = [ctypes.POINTER(ctypes.c_float)]
_library.ffvers.restype = ctypes.c_float


class _FailedError(Exception):
    """CFITSIO returned a status that is not 0."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@attrs.define
class _File:
    """An open file; each method is one call of the library."""

    handle: ctypes.c_void_p

    @classmethod
    def open(cls, path: Path) -> _File:
        handle, status = _HANDLE(), ctypes.c_int(0)
        _library.ffdkopn(ctypes.byref(handle), os.fsencode(path), _READONLY, ctypes.byref(status))
        if status.value:
            raise _FailedError(status.value)
        return cls(handle)

    def next_part(self) -> None:
        kind, status = ctypes.c_int(0), ctypes.c_int(0)
        _library.ffmrhd(self.handle, 1, ctypes.byref(kind), ctypes.byref(status))
        if status.value:
            raise _FailedError(status.value)

    def place(self) -> tuple[int, int, int]:
        """Return where header and data begin, and where the data end."""
        header, data, end = (ctypes.c_longlong(0) for _ in range(3))
        status = ctypes.c_int(0)
        _library.ffghadll(
            self.handle, ctypes.byref(header), ctypes.byref(data), ctypes.byref(end), ctypes.byref(status)
        )
        if status.value:
            raise _FailedError(status.value)
        return header.value, data.value, end.value

    def verify(self) -> tuple[SumStatus, SumStatus]:
        """Return what DATASUM and CHECKSUM of the present part say."""
        data, whole, status = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
        _library.ffvcks(self.handle, ctypes.byref(data), ctypes.byref(whole), ctypes.byref(status))
        if status.value:
            raise _FailedError(status.value)
        return _STATUS[data.value], _STATUS[whole.value]

    def close(self) -> None:
        status = ctypes.c_int(0)
        _library.ffclos(self.handle, ctypes.byref(status))


def version() -> str:
    """Return the version of the library."""
    number = ctypes.c_float(0)
    _library.ffvers(ctypes.byref(number))
    return f"{number.value:.2f}"


def _messages() -> str:
    """Return the messages that the library has kept, and forget them."""
    buffer, messages = ctypes.create_string_buffer(_MESSAGE_BYTES), []
    while _library.ffgmsg(buffer):
        messages.append(buffer.value.decode("latin-1"))
    _library.ffcmsg()
    return "; ".join(messages)


def by_cfitsio(path: Path) -> View:
    """Walk the file at `path` with CFITSIO."""
    _library.ffcmsg()
    parts: list[Part] = []
    try:
        file = _File.open(path)
    except _FailedError as failed:
        return View((), f"cfitsio {failed.status}: {_messages()}")
    try:
        while True:
            header, data, end = file.place()
            parts.append(Part(header, data - header, end - data, *file.verify()))
            file.next_part()
    except _FailedError as failed:
        at_end = failed.status == _END_OF_FILE and len(parts) > 0
        return View(tuple(parts), f"cfitsio {failed.status}: {_messages()}" if not at_end else "")
    finally:
        file.close()
        _library.ffcmsg()
