"""What is wrong in the inbox now: each trouble is told once, until it is over or is another one."""

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
    """Folders that cannot be looked at, and names that are called as triggers and are none.

    Parameters
    ----------
    roots
        The roots of the inbox.
    """

    def __init__(self, roots: Sequence[bytes]) -> None:
        self._roots = roots
        # By folder, and name in it; the folder itself has the empty name.
        self._messages: dict[bytes, Mapping[bytes, str]] = {}

    @property
    def n_hidden(self) -> int:
        """How many folders cannot be looked at."""
        return sum(b"" in messages for messages in self._messages.values())

    @property
    def n_odd(self) -> int:
        """How many names are called as triggers, and are none or cannot be looked at."""
        return sum(len(messages) for messages in self._messages.values()) - self.n_hidden

    def first(self, limit: int | None = None) -> Mapping[Path, str]:
        """Return what is wrong, by path; at most `limit` of it."""
        found = (
            (_path(folder, name), message)
            for folder, messages in self._messages.items()
            for name, message in messages.items()
        )
        return dict(itertools.islice(found, limit))

    def hide_from_above(self, folder: bytes) -> bool:
        """Whether a folder lies below a root that cannot be looked at: what is not there now is only hidden."""
        return any(b"" in self._messages.get(root, ()) and folder.startswith(root + b"/") for root in self._roots)

    def hide(self, folder: bytes) -> bool:
        """Whether a folder cannot be looked at, or lies below a root that cannot."""
        return b"" in self._messages.get(folder, ()) or self.hide_from_above(folder)

    def tell(self, folder: bytes, messages: Mapping[bytes, str]) -> list[Notice]:
        """Put what is wrong in a folder in the place of what was wrong; return what is new, and log it."""
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
