"""Claim the folders of an upload, and remove unregistered files."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from ctao_bdms.errors import UploadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctao_bdms.model import Lfn
    from ctao_bdms.storage import Claim, Sink

__all__ = ["Claims", "take_back"]

_LOG = logging.getLogger(__name__)


class Claims:
    """Claims on the folders of files; a context manager.

    Attributes
    ----------
    refused
        Files whose folders could not be claimed, with the error.
    """

    def __init__(self, sink: Sink, lfns: Iterable[Lfn]) -> None:
        self._sink = sink
        self._folders: dict[str, list[Lfn]] = {}
        for lfn in lfns:
            self._folders.setdefault(lfn.text.rpartition("/")[0], []).append(lfn)
        self._claims: list[Claim] = []
        self._open = ExitStack()
        self.refused: dict[Lfn, Exception] = {}

    def __enter__(self) -> Self:
        for lfns in self._folders.values():
            try:
                self._claims.append(self._open.enter_context(self._sink.claim(lfns[0])))
            except (UploadError, OSError) as error:
                self.refused |= dict.fromkeys(lfns, error)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._open.close()
        except (UploadError, OSError) as error:
            _LOG.warning("a claim cannot be given up, and is taken for old in an hour: %s", error)

    def renew(self) -> None:
        """Renew the claims, before they expire."""
        for claim in self._claims:
            claim.renew()


def take_back(sink: Sink, lfns: Iterable[Lfn], known: Callable[[Lfn], bool]) -> Mapping[Lfn, str]:
    """Remove uploaded files that were not registered.

    Parameters
    ----------
    known
        Returns whether the archive has a replica of a file there, in any state.

    Returns
    -------
    Mapping
        The files that could not be removed, with the reason.
    """
    left = {}
    for lfn in lfns:
        try:
            if not known(lfn) and not sink.take_back(lfn, lambda lfn=lfn: known(lfn)):  # type: ignore[misc]
                left[lfn] = "another put into the same folder is under way, which may need them"
        except (UploadError, OSError) as error:
            left[lfn] = str(error)
    return left
