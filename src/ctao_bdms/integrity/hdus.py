"""Parse the HDUs of a FITS stream and verify their checksums."""

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

__all__ = ["BLOCK_BYTES", "FitsParser", "ParsedFits"]

#: Size of a FITS block.
BLOCK_BYTES = 2880
_FIRST = b"SIMPLE  ="
_NEXT = b"XTENSION="

#: So many bytes of a first card are no accident.
_MIN_MAGIC_BYTES = 4

#: Largest size of all headers of one file together, in bytes. It bounds the memory of the parser.
_MAX_HEADERS_BYTES = 8 * 1024 * 1024

#: Largest file size of any file system, in bytes.
_MAX_DATA_BYTES = 2**63 - 1


@attrs.frozen(kw_only=True)
class ParsedFits:
    """The HDUs of a FITS file.

    Attributes
    ----------
    is_fits
        Whether the file begins with a FITS header.
    hdus
        The HDUs whose header could be read.
    trailing_bytes
        Number of bytes after the last HDU.
    defects
        Checksum mismatches and wrong lengths.
    complete
        Whether every HDU was read to its end, so that the list of HDUs is complete.
    """

    is_fits: bool
    hdus: tuple[HduFacts, ...]
    trailing_bytes: int
    defects: tuple[Defect, ...]
    complete: bool


class _State(Enum):
    """The section of the file that the next byte belongs to."""

    #: In a header, or before the first byte of one.
    HEADER = auto()
    DATA = auto()
    #: After the last HDU.
    TRAILING = auto()
    #: After a header that does not give the length of its data.
    LOST = auto()
    #: In a file of another format.
    FOREIGN = auto()


class FitsParser:
    """Parse a FITS file from pieces of any size, and sum up the bytes of each HDU.

    Memory is bounded: one block, the current header, and the values of the headers read so far.
    """

    def __init__(self) -> None:
        self._state = _State.HEADER
        self._hdus: list[HduFacts] = []
        self._defects: list[Defect] = []
        self._trailing_bytes = 0
        self._all_headers_bytes = 0
        # The current HDU: its offset, the block that is being filled, and the bytes read so far.
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
        """Number of data bytes of the current HDU still to come; 0 in a header."""
        return self._missing_bytes if self._state is _State.DATA else 0

    @property
    def is_over(self) -> bool:
        """Whether the rest of the file has no HDUs."""
        return self._state not in {_State.HEADER, _State.DATA}

    def skip(self, count: int, *, are_zeros: bool) -> None:
        """Skip `count` bytes of the current HDU's data, or after the last HDU.

        Parameters
        ----------
        are_zeros
            Whether the bytes are known to be zero, which does not change a sum; otherwise the sums of the HDU are
            assumed to match its header.
        """
        if self._state is _State.DATA:
            self._is_skipped = self._is_skipped or not are_zeros
            self._missing_bytes -= count
            if not self._missing_bytes:
                self._close_hdu()
        elif self._state is _State.TRAILING:
            self._trailing_bytes += count

    def feed(self, data: memoryview) -> None:
        """Parse the next bytes."""
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

    def finish(self) -> ParsedFits:
        """Return the result, after the last byte."""
        hdus, defects, trailing_bytes = tuple(self._hdus), tuple(self._defects), self._trailing_bytes
        cut = ""
        if self._state is _State.DATA:
            hdus += (self._facts(),)
            cut = (
                f"{self._label()} ends {self._missing_bytes} bytes before the end of its data, "
                f"which are {self._data_bytes} bytes with padding"
            )
        elif self._state is _State.HEADER and (self._header or self._begins_header()):
            cut = f"HDU {len(hdus)} ends in its header, {len(self._header) + len(self._block)} bytes after its begin"
        elif self._state is _State.HEADER and hdus:
            trailing_bytes = len(self._block)
        if cut:
            defects += (Defect(DefectKind.TRUNCATED, cut),)
        return ParsedFits(
            is_fits=bool(hdus or defects),
            hdus=hdus,
            trailing_bytes=trailing_bytes,
            defects=defects,
            complete=not cut and self._state in {_State.HEADER, _State.TRAILING},
        )

    def _begins_header(self) -> bool:
        """Whether the last bytes, less than a block, are the beginning of a header; some bytes more prove nothing."""
        return len(self._block) >= _MIN_MAGIC_BYTES and self._block.startswith(self._magic()[: len(self._block)])

    def _magic(self) -> bytes:
        return _NEXT if self._hdus else _FIRST

    def _take_block(self) -> None:
        """Parse one block of a header, or the block after an HDU."""
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
        """Parse a complete header, and compute the length of its data."""
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
        """Verify the sums of a complete HDU, and expect the next header."""
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
        """Return the facts of the current HDU, with the sums of the bytes read so far."""
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
        """Return `status`, but trust the card if data were skipped."""
        return SumStatus.OK if self._is_skipped and status is SumStatus.BAD else status

    def _lose(self, reason: str) -> None:
        """Stop parsing: the offset of the next HDU is unknown."""
        self._defects.append(Defect(DefectKind.CORRUPT, f"{self._label()}: {reason}; what follows is unknown"))
        self._state = _State.LOST

    def _label(self) -> str:
        """Return the current HDU's name for messages, without control characters."""
        index = len(self._hdus)
        name = str(self._keywords.get("EXTNAME", "" if index else "PRIMARY"))
        if not (name.isascii() and name.isprintable()):
            name = ascii(name)
        return f"HDU {index} ({name})" if name else f"HDU {index}"


def _fault(header: bytearray, keywords: Mapping[str, Keyword], illegible: int, *, is_first: bool) -> str:
    """Return the error of a header whose data length is known; empty if it is valid."""
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
    """Return the mandatory first cards of a header, in order, up to the equals sign."""
    keywords = ["SIMPLE" if is_first else "XTENSION", "BITPIX", "NAXIS"]
    keywords += [f"NAXIS{axis}" for axis in range(1, axes + 1)]
    keywords += [] if is_first else ["PCOUNT", "GCOUNT"]
    return tuple(f"{keyword:<8}=".encode("ascii") for keyword in keywords)


def _data_bytes(keywords: Mapping[str, Keyword], *, is_first: bool) -> int:
    """Return the data size by the header, without padding; ValueError if invalid."""
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
        return 0  # NAXIS = 0 means no data, for any PCOUNT
    if lengths[0] == 0 and has_groups:
        lengths = lengths[1:]
    # PCOUNT and GCOUNT are mandatory in extensions and random groups, and absent in a primary image.
    parameters, groups = (0, 1) if is_first and not has_groups else (None, None)
    size_bytes = abs(bits) // 8 * whole("GCOUNT", groups) * (whole("PCOUNT", parameters) + math.prod(lengths))
    if size_bytes > _MAX_DATA_BYTES:  # with 999 long axes, the number has too many digits for Python to print
        msg = "its data would be larger than any file can be"
        raise ValueError(msg)
    return size_bytes
