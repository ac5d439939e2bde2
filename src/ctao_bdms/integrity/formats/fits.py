"""FITS and zFITS: every part is walked in the pass, with its sums; and the content that no name announces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.integrity.formats.port import Findings
from ctao_bdms.integrity.identification import keywords
from ctao_bdms.integrity.structure import DL0_KINDS, kind_of, structure_findings
from ctao_bdms.integrity.walk import FitsWalk
from ctao_bdms.model import Defect, DefectKind, Flag, SumStatus

if TYPE_CHECKING:
    from ctao_bdms.integrity.formats.port import Reading
    from ctao_bdms.integrity.structure import ProductKind
    from ctao_bdms.integrity.walk import Walked

__all__ = ["FITS", "FitsFormat", "OPAQUE", "OpaqueFormat"]

_NAME = "fits"


@attrs.frozen
class FitsFormat:
    """FITS by its name. A ``.fits.fz`` is a product of DL0, every part of which must carry its sums."""

    name: str = _NAME
    suffixes: tuple[str, ...] = (".fits", ".fits.fz")

    def begin(self, name: str) -> Reading:
        """Begin with one file."""
        if name.endswith(".fits.fz"):
            return _FitsReading(".fits.fz", DL0_KINDS)
        return _FitsReading(".fits", ())


@attrs.frozen
class OpaqueFormat:
    """Any other name. It promises nothing; content that begins as FITS does is walked all the same."""

    name: str = "opaque"
    suffixes: tuple[str, ...] = ()

    def begin(self, name: str) -> Reading:
        """Begin with one file."""
        return _OpaqueReading()


class _FitsReading:
    """A file that must be FITS, and one of `kinds` if there are any."""

    def __init__(self, suffix: str, kinds: tuple[ProductKind, ...]) -> None:
        self._suffix = suffix
        self._kinds = kinds
        self._walk = FitsWalk()

    def feed(self, piece: memoryview) -> None:
        self._walk.feed(piece)

    def finish(self, path: str | None) -> Findings:
        walked = self._walk.finish()
        if walked.is_fits:
            return _findings(walked, self._kinds)
        message = f"the name ends in {self._suffix}, but the content does not begin as a FITS file does"
        return Findings(defects=(Defect(DefectKind.NOT_A_PRODUCT, message),))


class _OpaqueReading:
    """A file of which nothing is demanded."""

    def __init__(self) -> None:
        self._walk = FitsWalk()

    def feed(self, piece: memoryview) -> None:
        self._walk.feed(piece)

    def finish(self, path: str | None) -> Findings:
        walked = self._walk.finish()
        if walked.is_fits:
            return attrs.evolve(_findings(walked, ()), format=_NAME)
        return Findings(flags=(Flag.OPAQUE,))


def _findings(walked: Walked, kinds: tuple[ProductKind, ...]) -> Findings:
    """Say what a walk found."""
    structure = structure_findings(walked, kinds)
    flags = list(structure.flags)
    if walked.trailing_bytes:
        flags.append(Flag.TRAILING_BYTES)
    kind = kind_of(walked.hdus)
    sums = {status for hdu in walked.hdus for status in (hdu.datasum, hdu.checksum)}
    return Findings(
        kind=kind.name if kind else "",
        keywords=keywords(walked.hdus),
        checked=walked.complete and sums == {SumStatus.OK} and not walked.trailing_bytes,
        flags=tuple(flags),
        defects=(*walked.defects, *structure.defects),
        hdus=walked.hdus,
        trailing_bytes=walked.trailing_bytes,
    )


FITS = FitsFormat()
OPAQUE = OpaqueFormat()
