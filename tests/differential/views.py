"""What one reader of FITS says of a file, in words that are the same for all of them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import attrs
from astropy.io import fits

from ctao_bdms.integrity import Scanner
from ctao_bdms.model import SumStatus

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Part", "View", "by_astropy", "by_us"]

_STATUS = {0: SumStatus.BAD, 1: SumStatus.OK, 2: SumStatus.ABSENT}


@attrs.frozen
class Part:
    """One part: its place in the file, and what its sums say."""

    offset: int
    header_bytes: int
    data_bytes: int
    datasum: SumStatus
    checksum: SumStatus

    @property
    def place(self) -> tuple[int, int, int]:
        return self.offset, self.header_bytes, self.data_bytes

    @property
    def sums(self) -> tuple[SumStatus, SumStatus]:
        return self.datasum, self.checksum


@attrs.frozen
class View:
    """The parts that a reader saw to their end, and why it saw no more (empty if it saw the whole file)."""

    parts: tuple[Part, ...]
    failure: str
    trailing_bytes: int = 0

    def is_bad(self, begin: int = 0) -> bool:
        """Say whether it found anything bad from part `begin` on."""
        return bool(self.failure) or any(SumStatus.BAD in part.sums for part in self.parts[begin:])


def by_us(content: bytes) -> View:
    """Walk `content` with our own reader, as a file from which nothing but FITS is demanded."""
    scanner = Scanner("x.fits", algorithms=())
    scanner.feed(content)
    facts = scanner.finish()
    parts = tuple(Part(hdu.offset, hdu.header_bytes, hdu.data_bytes, hdu.datasum, hdu.checksum) for hdu in facts.hdus)
    # The sums of a part that was cut short are those of what was there.
    whole = tuple(part for part in parts if sum(part.place) <= len(content))
    wrong = [defect for defect in facts.defects if "CHECKSUM does not agree" not in defect.message]
    failure = "; ".join(str(defect) for defect in wrong if "but the data sum up" not in defect.message)
    return View(whole, failure, facts.trailing_bytes)


def by_astropy(path: Path) -> View:
    """Walk the file at `path` with astropy, each part verified before its data are touched."""
    parts: list[Part] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with (
                path.open("rb") as stream,
                fits.open(stream, memmap=False, disable_image_compression=True) as hdus,
            ):
                for hdu in hdus:
                    place = hdu.fileinfo()
                    parts.append(
                        Part(
                            place["hdrLoc"],
                            place["datLoc"] - place["hdrLoc"],
                            place["datSpan"],
                            _STATUS[hdu.verify_datasum()],
                            _STATUS[hdu.verify_checksum()],
                        )
                    )
    except Exception as error:  # noqa: BLE001 - what astropy raises on bad files is what is asked here
        return View(tuple(parts), f"astropy {type(error).__name__}: {error}")
    return View(tuple(parts), "")
