"""How many files are registered at once: more while the server answers quickly, fewer as soon as it does not. Pure.

Additive increase, multiplicative decrease (D.-M. Chiu and R. Jain, Computer Networks and ISDN Systems 17 (1989) 1):
several clients of one server so come to equal shares, without knowing of each other.
"""

from __future__ import annotations

import attrs

__all__ = ["BatchSize"]


@attrs.frozen(kw_only=True)
class BatchSize:
    """The size of the next batch.

    Attributes
    ----------
    files
        How many files it takes.
    largest
        The most files that a batch may take.
    step
        By how many files it grows.
    target_s
        The time that an answer may take, in seconds.

    Examples
    --------
    >>> size = BatchSize(files=300)
    >>> size.after_answer(300, 1.0).files, size.after_answer(300, 9.0).files, size.after_failure().files
    (350, 150, 150)
    """

    files: int = attrs.field(default=300, validator=attrs.validators.ge(1))
    largest: int = attrs.field(default=1000, validator=attrs.validators.ge(1))
    step: int = attrs.field(default=50, validator=attrs.validators.ge(1))
    target_s: float = 5.0

    def after_answer(self, n_files: int, elapsed_s: float) -> BatchSize:
        """Return the size after `n_files` were registered in `elapsed_s` seconds.

        A batch that was not full says nothing of larger ones.
        """
        if elapsed_s > self.target_s:
            return attrs.evolve(self, files=max(1, min(self.files, n_files) // 2))
        if n_files >= self.files:
            return attrs.evolve(self, files=min(self.largest, self.files + self.step))
        return self

    def after_failure(self) -> BatchSize:
        """Return the size after the server did not answer in time, or said that it cannot serve now."""
        return attrs.evolve(self, files=max(1, self.files // 2))
