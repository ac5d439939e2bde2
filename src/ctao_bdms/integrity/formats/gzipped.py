"""FITS compressed with gzip, as is common for science-ready files: decompressed in the pass, never on disk.

Source: RFC 1952. A file may have several members, one after the other, as bgzip and pigz write them.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.integrity.formats.fits import fits_findings
from ctao_bdms.integrity.formats.port import Findings
from ctao_bdms.integrity.hdus import FitsParser
from ctao_bdms.model import Defect, DefectKind, Flag

if TYPE_CHECKING:
    from ctao_bdms.integrity.formats.port import Reading
    from ctao_bdms.integrity.source import SourceFile

__all__ = ["GZIPPED_FITS", "GzippedFitsFormat"]

_GZIP = 16 + zlib.MAX_WBITS
#: The first bytes of a member.
_MAGIC = b"\x1f\x8b"
_PIECE_BYTES = 1 << 20
#: zlib copies what follows the end of a member: a file of many small members would copy its rest for each.
_SLICE_BYTES = 1 << 14
#: So many first bytes decide whether it is gzip at all.
_PROBE_BYTES = 1 << 16
#: The limit of the decompressed size: this many bytes in any case, and then a ratio. Real products have ratios below
#: 20. A file of zeros has 1000, and could take any time to decompress.
_FREE_BYTES = 64 << 20
_MAX_RATIO = 100


@attrs.frozen
class GzippedFitsFormat:
    """FITS compressed with gzip. Offsets are in the decompressed content, digests are those of the file."""

    name: str = "fits"
    suffixes: tuple[str, ...] = (".fits.gz",)
    promise: str = (
        "Packed FITS: gzip carries the length and a sum of all that was packed; within, it is FITS as any other."
    )

    def begin(self, name: str) -> Reading:
        """Begin to read a file."""
        return _GzippedReading()


class _GzippedReading:
    """Reads one file. gzip verifies its own checksum and length of the decompressed content."""

    def __init__(self) -> None:
        self._parser = FitsParser()
        self._unpacker = zlib.decompressobj(_GZIP)
        #: The bytes after a member that may begin the next one.
        self._head = b""
        self._packed_bytes = 0
        self._unpacked_bytes = 0
        self._trailing_bytes = 0
        self._defect: Defect | None = None

    def feed(self, piece: memoryview) -> None:
        for start in range(0, len(piece), _SLICE_BYTES):
            data: bytes | memoryview = piece[start : start + _SLICE_BYTES]
            self._packed_bytes += len(data)
            while data and self._defect is None:
                data = self._begin_member(data) if self._unpacker.eof else self._unpack(data)

    def _begin_member(self, data: bytes | memoryview) -> bytes:
        """Begin the next member if there is one, and return what to unpack; else count the bytes as trailing."""
        seen = self._head + bytes(data)
        if self._trailing_bytes or not _MAGIC.startswith(seen[: len(_MAGIC)]):
            self._trailing_bytes += len(seen)
            self._head = b""
            return b""
        if len(seen) < len(_MAGIC):
            self._head = seen
            return b""
        self._head, self._unpacker = b"", zlib.decompressobj(_GZIP)
        return seen

    def _unpack(self, data: bytes | memoryview) -> bytes:
        """Unpack some bytes of a member, and return those after its end."""
        while self._defect is None:
            try:
                unpacked = self._unpacker.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                self._fail(DefectKind.CORRUPT, f"it cannot be unpacked after {self._unpacked_bytes} bytes: {error}")
                break
            self._parser.feed(memoryview(unpacked))
            self._unpacked_bytes += len(unpacked)
            if self._unpacked_bytes > _FREE_BYTES + _MAX_RATIO * self._packed_bytes:
                self._fail(DefectKind.NOT_A_PRODUCT, f"it unpacks to more than {_MAX_RATIO} times its size")
            if self._unpacker.eof:
                return self._unpacker.unused_data
            data = self._unpacker.unconsumed_tail
            if not data and len(unpacked) < _PIECE_BYTES:
                break
        return b""

    def preview(self, source: SourceFile) -> Findings:
        """Return the defect of a file that does not begin as gzip or FITS does."""
        probe = _GzippedReading()
        probe.feed(source.first_bytes(_PROBE_BYTES))
        if probe._defect is not None:
            return Findings(flags=(Flag.GZIPPED,), defects=(probe._defect,))
        return Findings()

    def finish(self, path: str | None) -> Findings:
        if self._defect is None and not self._unpacker.eof:
            self._fail(
                DefectKind.TRUNCATED, f"it ends after {self._unpacked_bytes} unpacked bytes, before the end of gzip"
            )
        parsed = self._parser.finish()
        if not parsed.is_fits and self._defect is None:
            self._fail(DefectKind.NOT_A_PRODUCT, "what is packed in it does not begin as a FITS file does")
        found = fits_findings(parsed) if parsed.is_fits else Findings()
        if self._defect is not None:
            # Report the error of gzip only; the early end of the FITS content follows from it.
            return attrs.evolve(found, checked=False, flags=(Flag.GZIPPED,), defects=(self._defect,))
        trailing_bytes = found.trailing_bytes + self._trailing_bytes + len(self._head)
        flags: list[Flag] = [flag for flag in found.flags if flag is not Flag.TRAILING_BYTES]
        flags += [Flag.GZIPPED, *([Flag.TRAILING_BYTES] if trailing_bytes else [])]
        return attrs.evolve(found, checked=not trailing_bytes, flags=tuple(flags), trailing_bytes=trailing_bytes)

    def _fail(self, kind: DefectKind, message: str) -> None:
        self._defect = Defect(kind, message)


GZIPPED_FITS = GzippedFitsFormat()
