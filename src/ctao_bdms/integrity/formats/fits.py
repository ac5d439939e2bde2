"""Check FITS and zFITS files, and FITS content under other names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.integrity.dl3 import dl3_structure, is_dl3
from ctao_bdms.integrity.formats.port import Findings
from ctao_bdms.integrity.hdus import FitsParser
from ctao_bdms.integrity.identification import dl3_keywords, keywords
from ctao_bdms.integrity.payload import MAX_HEAD_BYTES, payload_keywords
from ctao_bdms.integrity.preview import preview
from ctao_bdms.integrity.structure import dl0_structure, plain_structure
from ctao_bdms.model import Defect, DefectKind, Flag, SumStatus

if TYPE_CHECKING:
    from ctao_bdms.integrity.formats.port import Reading
    from ctao_bdms.integrity.hdus import ParsedFits
    from ctao_bdms.integrity.source import SourceFile

__all__ = ["FITS", "FitsFormat", "OPAQUE", "OpaqueFormat", "fits_findings"]

_NAME = "fits"


@attrs.frozen
class FitsFormat:
    """FITS, by the suffix. A ``.fits.fz`` file is a DL0 product: every HDU must have its checksums."""

    name: str = _NAME
    suffixes: tuple[str, ...] = (".fits", ".fits.fz")
    promise: str = (
        "FITS: headers give the length of every part. A part may have DATASUM and CHECKSUM, which are 32-bit sums of "
        "data and of the whole part; of a part without them only the extent is known. In .fits.fz every part has both."
    )

    def begin(self, name: str) -> Reading:
        """Begin to read a file."""
        return _FitsReading(".fits.fz" if name.endswith(".fits.fz") else ".fits")


@attrs.frozen
class OpaqueFormat:
    """Any other suffix: any content is valid, but FITS content is checked."""

    name: str = "opaque"
    suffixes: tuple[str, ...] = ()
    promise: str = "Opaque: the suffix defines no format to check. The digests can be compared with other copies."

    def begin(self, name: str) -> Reading:
        """Begin to read a file."""
        return _OpaqueReading()


class _FitsReading:
    """Reads a file that must be FITS, and a DL0 product if its suffix is ``.fits.fz``."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._parser = FitsParser()
        self._head = bytearray()

    def feed(self, piece: memoryview) -> None:
        if self._suffix == ".fits.fz" and len(self._head) < MAX_HEAD_BYTES:
            self._head += piece[: MAX_HEAD_BYTES - len(self._head)]
        self._parser.feed(piece)

    def preview(self, source: SourceFile) -> Findings:
        """Return the defects that can be proven without a full read."""
        return self._judged(preview(source))

    def finish(self, path: str | None) -> Findings:
        return self._judged(self._parser.finish())

    def _judged(self, parsed: ParsedFits) -> Findings:
        if parsed.is_fits:
            found = fits_findings(parsed, is_dl0=self._suffix == ".fits.fz")
            if self._head and "OBS_ID" not in found.keywords:
                found = attrs.evolve(found, keywords={**payload_keywords(self._head, parsed.hdus), **found.keywords})
            return found
        message = f"the name ends in {self._suffix}, but the content does not begin as a FITS file does"
        return Findings(defects=(Defect(DefectKind.NOT_A_PRODUCT, message),))


class _OpaqueReading:
    """Reads a file for which any content is valid."""

    def __init__(self) -> None:
        self._parser = FitsParser()

    def feed(self, piece: memoryview) -> None:
        self._parser.feed(piece)

    def finish(self, path: str | None) -> Findings:
        parsed = self._parser.finish()
        if parsed.is_fits:
            return attrs.evolve(fits_findings(parsed), format=_NAME)
        return Findings(flags=(Flag.OPAQUE,))


def fits_findings(parsed: ParsedFits, *, is_dl0: bool = False) -> Findings:
    """Return the findings in a parsed FITS file.

    Parameters
    ----------
    is_dl0
        Whether the file must be a DL0 product.
    """
    science_ready = not is_dl0 and is_dl3(parsed.hdus)
    judge = dl0_structure if is_dl0 else dl3_structure if science_ready else plain_structure
    structure = judge(parsed)
    sums = {status for hdu in parsed.hdus for status in (hdu.datasum, hdu.checksum)}
    return Findings(
        kind=structure.kind,
        keywords=dl3_keywords(parsed.hdus) if science_ready else keywords(parsed.hdus),
        checked=parsed.complete and sums == {SumStatus.OK} and not parsed.trailing_bytes,
        flags=(*structure.flags, *([Flag.TRAILING_BYTES] if parsed.trailing_bytes else [])),
        defects=(*parsed.defects, *structure.defects),
        hdus=parsed.hdus,
        trailing_bytes=parsed.trailing_bytes,
    )


FITS = FitsFormat()
OPAQUE = OpaqueFormat()
