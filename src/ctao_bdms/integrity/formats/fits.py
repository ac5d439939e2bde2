"""Check FITS and zFITS files, and FITS content under other names."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.integrity.dl3 import dl3_structure, is_dl3
from ctao_bdms.integrity.formats.port import Findings
from ctao_bdms.integrity.hdus import FitsParser
from ctao_bdms.integrity.identification import dl3_keywords, keywords
from ctao_bdms.integrity.payload import MAX_HEAD_BYTES, payload_keywords
from ctao_bdms.integrity.preview import preview
from ctao_bdms.integrity.structure import dl0_structure, is_other_compressed, plain_structure
from ctao_bdms.model import Defect, DefectKind, Flag, SumStatus
from ctao_bdms.naming import AcadaName

if TYPE_CHECKING:
    from ctao_bdms.integrity.formats.port import Reading
    from ctao_bdms.integrity.hdus import ParsedFits
    from ctao_bdms.integrity.source import SourceFile
    from ctao_bdms.model import HduFacts

__all__ = ["FITS", "FitsFormat", "OPAQUE", "OpaqueFormat", "fits_findings"]

_NAME = "fits"


@attrs.frozen
class FitsFormat:
    """FITS, by the suffix. A ``.fits.fz`` file is a DL0 product, in which every HDU must have its checksums.

    Unless its name is that of a DL0 product, files that fpack compressed, and R1 files of protozfits, are not.
    """

    name: str = _NAME
    suffixes: tuple[str, ...] = (".fits", ".fits.fz")
    promise: str = (
        "FITS: headers give the length of every part. A part may have DATASUM and CHECKSUM, which are 32-bit sums of "
        "data and of the whole part; of a part without them only the extent is known. In DL0 products (.fits.fz) every "
        "part has both."
    )

    def begin(self, name: str) -> Reading:
        """Begin to read a file."""
        return _FitsReading(name)


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
    """Reads a file that must be FITS, and perhaps a DL0 product."""

    def __init__(self, name: str) -> None:
        self._name = PurePath(name).name
        self._suffix = ".fits.fz" if name.endswith(".fits.fz") else ".fits"
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
            found = fits_findings(parsed, is_dl0=self._is_dl0(parsed))
            if self._head and "OBS_ID" not in found.keywords:
                found = attrs.evolve(found, keywords={**payload_keywords(self._head, parsed.hdus), **found.keywords})
            return found
        message = f"the name ends in {self._suffix}, but the content does not begin as a FITS file does"
        return Findings(defects=(Defect(DefectKind.NOT_A_PRODUCT, message),))

    def _is_dl0(self, parsed: ParsedFits) -> bool:
        """Whether the file must be a DL0 product: by its name, also if it is damaged, else by its content."""
        if self._suffix != ".fits.fz":
            return False
        try:
            AcadaName.parse(self._name)
        except InvalidNameError:
            return not is_other_compressed(parsed.hdus)
        return True


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
    return Findings(
        kind=structure.kind,
        keywords=dl3_keywords(parsed.hdus) if science_ready else keywords(parsed.hdus),
        checked=parsed.complete and all(map(_is_proven, parsed.hdus)) and not parsed.trailing_bytes,
        flags=(*structure.flags, *([Flag.TRAILING_BYTES] if parsed.trailing_bytes else [])),
        defects=(*parsed.defects, *structure.defects),
        hdus=parsed.hdus,
        trailing_bytes=parsed.trailing_bytes,
    )


def _is_proven(hdu: HduFacts) -> bool:
    """Whether the checksums cover all bytes of an HDU: CHECKSUM does so alone, DATASUM leaves out the header."""
    return hdu.checksum is SumStatus.OK and hdu.datasum in {SumStatus.OK, SumStatus.ABSENT}


FITS = FitsFormat()
OPAQUE = OpaqueFormat()
