"""What the demonstration has shown, as values."""

from __future__ import annotations

import attrs

__all__ = ["DemoFile", "DemoResult"]


@attrs.define(kw_only=True)
class DemoFile:
    """One file of the night, and all that was shown of it.

    Attributes
    ----------
    lfn, size_bytes, adler32, sha256
        What was written.
    damage
        What was done to it; empty if it was left sound.
    status
        What became of it at ingest.
    why
        Why it was rejected.
    copies
        Where copies were read back from disk and found equal to what was written: site or centre.
    fetched_from
        The storage element that it was retrieved from.
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
    """What the demonstration has shown.

    Attributes
    ----------
    home
        The folder of the archive.
    counts
        Numbers by what they count.
    seconds
        How long each step took.
    files
        All files.
    problems
        Everything that is not as it must be; empty if all is well.
    """

    home: str
    counts: dict[str, int] = attrs.field(factory=dict)
    seconds: dict[str, float] = attrs.field(factory=dict)
    files: list[DemoFile] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything is as it must be."""
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
        """Note a problem unless something is as it must be."""
        if not is_true:
            self.problems.append(otherwise)
