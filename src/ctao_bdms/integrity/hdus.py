"""The walk over a FITS file: its parts and their sums, from bytes that come once and in pieces of any size."""

from __future__ import annotations

import functools
import math
from enum import Enum, auto
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.integrity.cards import CARD_BYTES, find_end, read_header
from ctao_bdms.integrity.checksums import Sum32, checksum_status, datasum_status
from ctao_bdms.model import Defect, DefectKind, HduFacts, SumStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctao_bdms.model.facts import Keyword

__all__ = ["BLOCK_BYTES", "FitsWalk", "Walked"]

#: FITS files consist of blocks of so many bytes.
BLOCK_BYTES = 2880
_FIRST = b"SIMPLE  ="
_NEXT = b"XTENSION="

#: The most that all headers of one file may take, in bytes: what keeps the memory of a walk bounded.
_MAX_HEADERS_BYTES = 8 * 1024 * 1024

#: No file is larger than this, in bytes.
_MAX_DATA_BYTES = 2**63 - 1


@attrs.frozen(kw_only=True)
class Walked:
    """What a walk found.

    Attributes
    ----------
    is_fits
        Whether the bytes begin as a FITS file does.
    hdus
        The parts whose header could be read.
    trailing_bytes
        How many bytes follow the last part.
    defects
        What is wrong with sums and lengths.
    complete
        Whether every part could be followed to its end, so that it is known which parts there are.
    """

    is_fits: bool
    hdus: tuple[HduFacts, ...]
    trailing_bytes: int
    defects: tuple[Defect, ...]
    complete: bool


class _State(Enum):
    """Where the walk is."""

    #: In a header, or before the first byte of one.
    HEADER = auto()
    DATA = auto()
    #: Behind the last part.
    TRAILING = auto()
    #: Behind a header that does not say where the next part begins.
    LOST = auto()
    #: In a file of another format.
    FOREIGN = auto()


class FitsWalk:
    """Follows the parts of a FITS file through the bytes that it is fed, and sums them up.

    Memory is bounded: one block, the present header, and the values of the headers seen.
    """

    def __init__(self) -> None:
        self._state = _State.HEADER
        self._hdus: list[HduFacts] = []
        self._defects: list[Defect] = []
        self._trailing_bytes = 0
        self._all_headers_bytes = 0
        # The present part: where it begins, the block that is being filled, and what has been read of it.
        self._offset = 0
        self._block = bytearray()
        self._header = bytearray()
        self._keywords: Mapping[str, Keyword] = {}
        self._header_sum = Sum32()
        self._data_sum = Sum32()
        self._data_bytes = 0
        self._missing_bytes = 0
        self._is_skipped = False

    @property
    def missing_bytes(self) -> int:
        """How many bytes of the data of the present part have not come yet; 0 where a header is expected."""
        return self._missing_bytes if self._state is _State.DATA else 0

    @property
    def is_over(self) -> bool:
        """Whether whatever follows says nothing more."""
        return self._state not in {_State.HEADER, _State.DATA}

    def skip(self, count: int, *, are_zeros: bool) -> None:
        """Take so many bytes without seeing them: of the data of the present part, or behind all parts.

        Parameters
        ----------
        count
            How many.
        are_zeros
            Whether they are known to be zeros, which add nothing to a sum; otherwise the sums of the part are taken to
            be what its header says.
        """
        if self._state is _State.DATA:
            self._is_skipped = self._is_skipped or not are_zeros
            self._missing_bytes -= count
            if not self._missing_bytes:
                self._close_hdu()
        elif self._state is _State.TRAILING:
            self._trailing_bytes += count

    def feed(self, data: memoryview) -> None:
        """Take the next bytes."""
        while data:
            if self._state is _State.HEADER:
                taken = min(len(data), BLOCK_BYTES - len(self._block))
                self._block += data[:taken]
                if len(self._block) == BLOCK_BYTES:
                    self._take_block()
            elif self._state is _State.DATA:
                taken = min(len(data), self._missing_bytes)
                self._data_sum.update(data[:taken])
                self._missing_bytes -= taken
                if not self._missing_bytes:
                    self._close_hdu()
            else:
                taken = len(data)
                self._trailing_bytes += taken if self._state is _State.TRAILING else 0
            data = data[taken:]

    def finish(self) -> Walked:
        """Say what was found, now that there are no more bytes."""
        hdus, defects, trailing_bytes = tuple(self._hdus), tuple(self._defects), self._trailing_bytes
        cut = ""
        if self._state is _State.DATA:
            hdus += (self._facts(),)
            cut = (
                f"{self._label()} ends {self._missing_bytes} bytes before the end of its data, "
                f"which are {self._data_bytes} bytes with padding"
            )
        elif self._state is _State.HEADER and (self._header or self._block.startswith(self._magic())):
            cut = f"HDU {len(hdus)} ends in its header, {len(self._header) + len(self._block)} bytes after its begin"
        elif self._state is _State.HEADER and hdus:
            trailing_bytes = len(self._block)
        if cut:
            defects += (Defect(DefectKind.TRUNCATED, cut),)
        return Walked(
            is_fits=bool(hdus or defects),
            hdus=hdus,
            trailing_bytes=trailing_bytes,
            defects=defects,
            complete=not cut and self._state in {_State.HEADER, _State.TRAILING},
        )

    def _magic(self) -> bytes:
        """Return how the present header must begin."""
        return _NEXT if self._hdus else _FIRST

    def _take_block(self) -> None:
        """Take one block where a header goes on, or may begin."""
        block = bytes(self._block)
        self._block.clear()
        if not self._header and not block.startswith(self._magic()):
            self._state = _State.TRAILING if self._hdus else _State.FOREIGN
            self._trailing_bytes = len(block) if self._hdus else 0
            return
        self._header += block
        self._all_headers_bytes += len(block)
        if self._all_headers_bytes > _MAX_HEADERS_BYTES:
            self._lose(f"its header has no END card, or all headers together more than {_MAX_HEADERS_BYTES} bytes")
        elif find_end(block):
            self._open_data()

    def _open_data(self) -> None:
        """Read a header that is complete, and find out how long its data are."""
        self._keywords, illegible = read_header(self._header)
        self._header_sum = Sum32()
        self._header_sum.update(memoryview(bytes(self._header)))
        self._data_sum = Sum32()
        self._is_skipped = False
        try:
            size_bytes = _data_bytes(self._keywords, is_first=not self._hdus)
        except ValueError as error:
            self._lose(str(error))
            return
        fault = _fault(self._header, self._keywords, illegible, is_first=not self._hdus)
        if fault:
            self._defects.append(Defect(DefectKind.CORRUPT, f"{self._label()}: {fault}"))
        self._data_bytes = self._missing_bytes = -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
        if self._missing_bytes:
            self._state = _State.DATA
        else:
            self._close_hdu()

    def _close_hdu(self) -> None:
        """Compare the sums of a part that has been read to its end, and wait for the next."""
        hdu = self._facts()
        wrong = []
        if hdu.datasum is SumStatus.BAD:
            wrong.append(f"DATASUM is {self._keywords['DATASUM']!r:.40}, but the data sum up to {self._data_sum.value}")
        if hdu.checksum is SumStatus.BAD:
            wrong.append("CHECKSUM does not agree with header and data")
        if wrong:
            self._defects.append(Defect(DefectKind.CORRUPT, f"{self._label()}: {'; '.join(wrong)}"))
        self._hdus.append(hdu)
        self._offset += hdu.header_bytes + hdu.data_bytes
        self._header.clear()
        self._keywords = {}
        self._state = _State.HEADER

    def _facts(self) -> HduFacts:
        """Say what is known of the present part; the sums are those of the bytes that were there."""
        data_sum = self._data_sum.value
        return HduFacts(
            index=len(self._hdus),
            name=str(self._keywords.get("EXTNAME", "" if self._hdus else "PRIMARY")),
            offset=self._offset,
            header_bytes=len(self._header),
            data_bytes=self._data_bytes,
            datasum=self._status(datasum_status(self._keywords.get("DATASUM"), data_sum)),
            checksum=self._status(checksum_status(self._keywords.get("CHECKSUM"), self._header_sum.value, data_sum)),
            data_sum32=data_sum,
            keywords=self._keywords,
        )

    def _status(self, status: SumStatus) -> SumStatus:
        """Return what a sum says, unless data were skipped: then a card that is there is believed."""
        return SumStatus.OK if self._is_skipped and status is SumStatus.BAD else status

    def _lose(self, reason: str) -> None:
        """Give up: where the next part begins cannot be known."""
        self._defects.append(Defect(DefectKind.CORRUPT, f"{self._label()}: {reason}; what follows is unknown"))
        self._state = _State.LOST

    def _label(self) -> str:
        """Name the present part for people; nothing in it can move a terminal's cursor."""
        index = len(self._hdus)
        name = str(self._keywords.get("EXTNAME", "" if index else "PRIMARY"))
        if not (name.isascii() and name.isprintable()):
            name = ascii(name)
        return f"HDU {index} ({name})" if name else f"HDU {index}"


def _fault(header: bytearray, keywords: Mapping[str, Keyword], illegible: int, *, is_first: bool) -> str:
    """Say what is wrong with a header whose data can be found nevertheless; empty if nothing is."""
    if illegible:
        return f"its card {illegible} has no keyword, but bytes that are not text"
    axes = keywords["NAXIS"]
    expected = _first_cards(axes if isinstance(axes, int) else 0, is_first)
    for number, begin in enumerate(expected):
        place = number * CARD_BYTES
        if not header.startswith(begin, place):
            found = header[place : place + len(begin)].decode("latin-1").rstrip()
            return f"its card {number + 1} must be {begin[:8].decode('ascii').rstrip()}, but is {found!a}"
    first = "SIMPLE" if is_first else "XTENSION"
    if not isinstance(keywords.get(first), bool if is_first else str):
        return f"its first card, {first}, must have a {'logical value' if is_first else 'text'}"
    return ""


@functools.lru_cache(maxsize=16)
def _first_cards(axes: int, is_first: bool) -> tuple[bytes, ...]:
    """Return the begins of the cards that a header must begin with, in their order."""
    keywords = ["SIMPLE" if is_first else "XTENSION", "BITPIX", "NAXIS"]
    keywords += [f"NAXIS{axis}" for axis in range(1, axes + 1)]
    keywords += [] if is_first else ["PCOUNT", "GCOUNT"]
    return tuple(f"{keyword:<8}=".encode("ascii") for keyword in keywords)


def _data_bytes(keywords: Mapping[str, Keyword], *, is_first: bool) -> int:
    """Return the size of the data that a header announces, without padding. ValueError: it does not say."""
    has_groups = keywords.get("GROUPS") is True

    def whole(keyword: str, default: int | None = None) -> int:
        value = keywords.get(keyword, default)
        if isinstance(value, bool) or not isinstance(value, int) or (value < 0 and keyword != "BITPIX"):
            shown = "is absent" if value is None else f"is {value!r:.40}"
            msg = f"{keyword} {shown}, but must be a whole number"
            raise ValueError(msg)
        return value

    bits = whole("BITPIX")
    if bits not in {8, 16, 32, 64, -32, -64}:
        msg = f"BITPIX is {bits!r:.40}, but must be 8, 16, 32, 64, -32 or -64"
        raise ValueError(msg)
    axes = whole("NAXIS")
    if axes > 999:
        msg = f"NAXIS is {axes!r:.40}, more than 999"
        raise ValueError(msg)
    lengths = [whole(f"NAXIS{axis}") for axis in range(1, axes + 1)]
    if not lengths:
        return 0  # whatever PCOUNT says
    if lengths[0] == 0 and has_groups:
        lengths = lengths[1:]
    # Extensions and random groups must have both; an image in the primary has neither.
    parameters, groups = (0, 1) if is_first and not has_groups else (None, None)
    size_bytes = abs(bits) // 8 * whole("GCOUNT", groups) * (whole("PCOUNT", parameters) + math.prod(lengths))
    if size_bytes > _MAX_DATA_BYTES:  # 999 long axes make a number that Python does not even print
        msg = "its data would be larger than any file can be"
        raise ValueError(msg)
    return size_bytes
