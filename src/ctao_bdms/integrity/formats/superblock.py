"""Parse the superblock of HDF5, which has the address of the end of the file.

Source: HDF5 File Format Specification 3.0, section II.A. It is parsed here, because for a truncated file the library
only reports that it cannot be opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["SIGNATURE", "Superblock", "read_superblock", "superblock_defect"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: The maximum length of a superblock, in bytes.
_LONGEST = 128
#: The valid lengths of an address, in bytes.
_ADDRESS_BYTES = (2, 4, 8)
#: By version: the offset of the first address, and the index of the address of the end of the file.
_PLACES = {0: (24, 2), 1: (28, 2), 2: (12, 2), 3: (12, 2)}


@attrs.frozen(kw_only=True)
class Superblock:
    """The contents of the superblock.

    Attributes
    ----------
    version
        0 to 3. Up to 2, metadata may have no checksums.
    offset
        Its offset, in bytes: after the user block, if there is one.
    end
        The end of the file, in bytes.
    """

    version: int
    offset: int
    end: int


def read_superblock(source: BinaryIO, size_bytes: int) -> Superblock | str:
    """Find and parse the superblock.

    Parameters
    ----------
    source
        The file, open for reading bytes.
    size_bytes
        Its size, in bytes.

    Returns
    -------
    Superblock or str
        The superblock; or why there is none, as a sentence.
    """
    offset = 0
    while offset < size_bytes:
        source.seek(offset)
        block = source.read(_LONGEST)
        if block.startswith(SIGNATURE):
            return _parse(block, offset)
        offset = offset * 2 or 512
    return "the content has no HDF5 signature"


def superblock_defect(superblock: Superblock | str, size_bytes: int) -> tuple[str, str] | None:
    """Return the defect of a file with this superblock, as kind and message; None if it has none."""
    if isinstance(superblock, str):
        return "not-a-product", superblock
    if superblock.end > size_bytes:
        return "truncated", f"the HDF5 file ends at byte {superblock.end}, but there are only {size_bytes} bytes"
    return None


def _parse(block: bytes, offset: int) -> Superblock | str:
    """Parse a superblock that begins with the signature."""
    if len(block) < 14:
        return "the HDF5 superblock is cut short"
    version = block[8]
    if version not in _PLACES:
        return f"the HDF5 superblock has version {version}, which does not exist"
    width = block[13] if version < 2 else block[9]
    if width not in _ADDRESS_BYTES:
        return f"the HDF5 superblock says that addresses have {width} bytes"
    first, place = _PLACES[version]
    field = block[first + place * width : first + (place + 1) * width]
    if len(field) < width:
        return "the HDF5 superblock is cut short"
    return Superblock(version=version, offset=offset, end=int.from_bytes(field, "little"))
