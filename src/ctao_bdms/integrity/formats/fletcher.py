"""The Fletcher-32 checksum of HDF5, stored after each chunk of a dataset with this filter.

Source: HDF5 File Format Specification 3.0, filter 3. Words are big-endian and 16 bits wide; sums are modulo 65535,
where 65535 and 0 are equal; the checksum is stored little-endian.
"""

from __future__ import annotations

import numpy as np

__all__ = ["Fletcher32"]

#: Number of words to sum at once, small enough that the weighted 64-bit sum cannot overflow.
_WORDS = 1 << 15
_MODULUS = 65535
_WEIGHTS = np.arange(_WORDS, 0, -1, dtype=np.uint64)


class Fletcher32:
    """The checksum of bytes in pieces; all pieces but the last have an even length."""

    def __init__(self) -> None:
        self._first = 0
        self._second = 0

    def update(self, data: bytes | memoryview) -> None:
        """Process the next bytes; an odd byte at the very end is the upper half of a word."""
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
        """Return whether the four stored bytes are this checksum."""
        second, first = stored[2:4], stored[0:2]
        return (
            int.from_bytes(first, "little") % _MODULUS == self._first
            and int.from_bytes(second, "little") % _MODULUS == self._second
        )
