"""How long a storage may say nothing: a server that reads or keeps a whole file before it answers takes its time."""

from __future__ import annotations

import attrs

__all__ = ["Patience"]


@attrs.frozen
class Patience:
    """How long a storage may say nothing.

    Attributes
    ----------
    silence_s
        How long, if it has nothing to read for its answer, in seconds.
    slowest_bytes_per_s
        A server that reads a file, as for its digest, is waited for as long as it is not slower than this.

    Examples
    --------
    >>> Patience().for_file(10_000_000_000)
    560.0
    """

    silence_s: float = 60.0
    slowest_bytes_per_s: float = 20e6

    def for_file(self, size_bytes: int) -> float:
        """Return how long a server may say nothing that must read a file of that size first, in seconds."""
        return self.silence_s + size_bytes / self.slowest_bytes_per_s
