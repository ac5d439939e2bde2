"""The Fletcher-32 of HDF5, which stands behind each chunk of a dataset that has this filter.

Source: HDF5 File Format Specification 3.0, filter 3. The words are big-endian and 16 bits wide, the sums are taken
modulo 65535 with 65535 and 0 for the same, and the checksum stands little-endian.
"""

from __future__ import annotations

import numpy as np

__all__ = ["Fletcher32"]

#: Words that are summed at once: below this, no 64-bit sum of weighted words overflows.
_WORDS = 1 << 15
_MODULUS = 65535
_WEIGHTS = np.arange(_WORDS, 0, -1, dtype=np.uint64)


class Fletcher32:
    """The sum of bytes that come in pieces; all pieces but the last are of an even length."""

    def __init__(self) -> None:
        self._first = 0
        self._second = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes; one byte that is over at the very end is the upper half of a word."""
        if len(data) % 2:
            data = bytes(data) + b"\0"
        words = np.frombuffer(data, dtype=">u2")
        for start in range(0, len(words), _WORDS):
            part = words[start : start + _WORDS].astype(np.uint64)
            count = len(part)
            self._second = (
                self._second + count * self._first + int(np.dot(part, _WEIGHTS[_WORDS - count :]))
            ) % _MODULUS
            self._first = (self._first + int(part.sum())) % _MODULUS

    def agrees(self, stored: bytes) -> bool:
        """Say whether the four bytes behind the data are this sum."""
        second, first = stored[2:4], stored[0:2]
        return (
            int.from_bytes(first, "little") % _MODULUS == self._first
            and int.from_bytes(second, "little") % _MODULUS == self._second
        )
