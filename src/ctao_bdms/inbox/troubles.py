"""The present problems in the inbox, each reported once until it changes."""

from __future__ import annotations

import itertools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.inbox.sightings import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Troubles"]

_log = logging.getLogger(__name__)


class Troubles:
    """Folders that cannot be read, and invalid triggers.

    Parameters
    ----------
    roots
        The roots of the inbox.
    """

    def __init__(self, roots: Sequence[bytes]) -> None:
        self._roots = roots
        # By folder and name in it; an unreadable folder itself has the empty name.
        self._messages: dict[bytes, Mapping[bytes, str]] = {}

    @property
    def n_hidden(self) -> int:
        """Number of folders that cannot be read."""
        return sum(b"" in messages for messages in self._messages.values())

    @property
    def n_odd(self) -> int:
        """Number of triggers that are invalid or cannot be read."""
        return sum(len(messages) for messages in self._messages.values()) - self.n_hidden

    def first(self, limit: int | None = None) -> Mapping[Path, str]:
        """Return the problems by path, at most `limit`."""
        found = (
            (_path(folder, name), message)
            for folder, messages in self._messages.items()
            for name, message in messages.items()
        )
        return dict(itertools.islice(found, limit))

    def hide_from_above(self, folder: bytes) -> bool:
        """Whether a folder is below an unreadable root: missing files are only hidden."""
        return any(b"" in self._messages.get(root, ()) and folder.startswith(root + b"/") for root in self._roots)

    def hide(self, folder: bytes) -> bool:
        """Whether a folder, or a root above it, cannot be read."""
        return b"" in self._messages.get(folder, ()) or self.hide_from_above(folder)

    def tell(self, folder: bytes, messages: Mapping[bytes, str]) -> list[Notice]:
        """Replace the problems of a folder; log and return the new ones."""
        before = self._messages.pop(folder, {})
        if messages:
            self._messages[folder] = messages
        new = [Notice(_path(folder, name), said) for name, said in messages.items() if before.get(name) != said]
        for notice in new:
            _log.warning("inbox: %a: %s", os.fspath(notice.path), notice.message)
        if b"" in before and b"" not in messages:
            _log.info("inbox: the folder %a can be read again", os.fsdecode(folder))
        return new


def _path(folder: bytes, name: bytes) -> Path:
    return Path(os.fsdecode(os.path.join(folder, name) if name else folder))  # noqa: PTH118
