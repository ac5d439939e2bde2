"""The results of the demonstration."""

from __future__ import annotations

import attrs

__all__ = ["DemoFile", "DemoResult"]


@attrs.define(kw_only=True)
class DemoFile:
    """One file of the night and its results.

    Attributes
    ----------
    lfn, size_bytes, adler32, sha256
        Name, size and digests as written.
    damage
        The damage applied; empty for a sound file.
    status
        Its status after the ingest.
    why
        Why it was rejected.
    copies
        The site and centres whose copies on disk were compared and are equal.
    fetched_from
        The storage element from which it was retrieved.
    """

    lfn: str
    size_bytes: int
    adler32: str
    sha256: str
    damage: str = ""
    status: str = ""
    why: str = ""
    copies: list[str] = attrs.field(factory=list)
    fetched_from: str = ""


@attrs.define(kw_only=True)
class DemoResult:
    """The results of the demonstration.

    Attributes
    ----------
    home
        The folder of the archive.
    counts
        Counters by name.
    seconds
        The duration of each step.
    problems
        All unexpected results; empty if there are none.
    """

    home: str
    counts: dict[str, int] = attrs.field(factory=dict)
    seconds: dict[str, float] = attrs.field(factory=dict)
    files: list[DemoFile] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)

    @property
    def ok(self) -> bool:
        """Whether there are no unexpected results."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.problems:
            return f"Not as it must be: {'; '.join(self.problems)}."
        sound, damaged = self.counts["registered"], self.counts["quarantined"]
        return (
            f"All {sound} sound files have verified copies on site and at two data centres and came back "
            f"byte for byte; the {damaged} damaged ones are in quarantine and not in the catalogue."
        )

    def expect(self, is_true: bool, otherwise: str) -> None:
        """Record a problem if a result is not as expected."""
        if not is_true:
            self.problems.append(otherwise)
