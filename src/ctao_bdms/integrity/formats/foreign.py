"""Formats of other packages: found by entry points, and isolated so that they cannot stop a scan."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ctao_bdms.errors import MissingExtraError, UsageError
from ctao_bdms.integrity.formats.port import Findings
from ctao_bdms.model import Defect, DefectKind

if TYPE_CHECKING:
    from collections.abc import Collection
    from importlib.metadata import EntryPoint

    from ctao_bdms.integrity.formats.port import FileFormat, Reading

__all__ = ["ENTRY_POINT_GROUP", "foreign_formats"]

_log = logging.getLogger(__name__)

#: The group of entry points for formats of other packages.
ENTRY_POINT_GROUP = "ctao_bdms.formats"


def foreign_formats(taken: Collection[str]) -> dict[str, FileFormat]:
    """Return the formats of other packages by suffix.

    Parameters
    ----------
    taken
        The suffixes that already have a format.
    """
    found: dict[str, FileFormat] = {}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (point.name, point.value)):
        owner = point.dist.name if point.dist is not None else "an unknown package"
        try:
            loaded = _Guarded(point)
        except Exception as error:  # noqa: BLE001 - the import of another package can raise anything
            _log.warning("format %s of %s is ignored: %s: %s", point.name, owner, type(error).__name__, error)
            continue
        for suffix in loaded.suffixes:
            if suffix in taken or suffix in found:
                _log.warning(
                    "format %s of %s is not used for %s, which already has a format", point.name, owner, suffix
                )
            else:
                found[suffix] = loaded
    return found


class _Guarded:
    """A format of another package. Its exceptions become defects of the file, and the scan continues."""

    def __init__(self, point: EntryPoint) -> None:
        self._format: FileFormat = point.load()
        self.name, self.suffixes = self._format.name, tuple(self._format.suffixes)
        self.promise = self._format.promise
        texts = (self.name, self.promise, *self.suffixes)
        if not all(isinstance(text, str) for text in texts) or not all(s.startswith(".") for s in self.suffixes):
            raise UsageError(f"{point.value} must have a name, a promise, and suffixes that begin with a dot")

    def begin(self, name: str) -> Reading:
        """Begin to read a file."""
        return _GuardedReading(self._format, name)


class _GuardedReading:
    def __init__(self, owner: FileFormat, name: str) -> None:
        self._name = owner.name
        self._failure = ""
        try:
            self._reading = owner.begin(name)
        except MissingExtraError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def feed(self, piece: memoryview) -> None:
        if not self._failure:
            try:
                self._reading.feed(piece)
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(error)

    def finish(self, path: str | None) -> Findings:
        if not self._failure:
            try:
                found = self._reading.finish(path)
                if isinstance(found, Findings):
                    return found
                self._fail(TypeError(f"{type(found).__name__} is no Findings"))
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(error)
        return Findings(defects=(Defect(DefectKind.UNEXAMINED, self._failure),))

    def _fail(self, error: Exception) -> None:
        self._failure = f"the reader of {self._name} files failed: {type(error).__name__}: {error}"
        _log.warning("%s", self._failure)
