"""Movers copy bytes: one for each family of URL schemes, chosen from one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from ctao_bdms.embedded.transfers.files import FileMover
from ctao_bdms.embedded.transfers.refusals import InvalidRequestError
from ctao_bdms.embedded.transfers.thirdparty import ThirdPartyMover

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ctao_bdms.embedded.transfers.jobs import Order

__all__ = ["Mover", "make_movers", "mover_for"]


class Mover(Protocol):
    """Copies bytes between URLs of one family of schemes."""

    def check(self, url: str) -> None:
        """Raise `InvalidRequestError` for a URL that can never be served."""

    def move(self, order: Order, abandoned: Callable[[], bool]) -> int:
        """Make and verify one copy; return its size in bytes.

        Raises
        ------
        TransferFailedError
            If the copy failed. No temporary file is left, unless the error has ``leaves_part``.
        TransferAbandonedError
            If `abandoned` became true before it was complete; temporary files as above.
        """

    def clean(self, order: Order) -> bool:
        """Remove the temporary file of an interrupted copy; return whether none is left."""


def make_movers(roots: Sequence[Path]) -> Mapping[str, Mover]:
    """Return the movers by scheme. `roots` are the allowed folders of ``file://``; empty for all."""
    return {"file": FileMover(tuple(root.resolve() for root in roots)), "http": ThirdPartyMover()}


def mover_for(movers: Mapping[str, Mover], source: str, destination: str) -> Mover:
    """Return the mover for both ends of a copy, after checking both URLs."""
    found = []
    for url in (source, destination):
        try:
            scheme = urlsplit(url).scheme
        except ValueError as error:
            raise InvalidRequestError(f"{url!r} is not a URL: {error}") from error
        if scheme not in movers:
            raise InvalidRequestError(f"{url!r} does not begin with one of {', '.join(f'{s}://' for s in movers)}")
        movers[scheme].check(url)
        found.append(movers[scheme])
    if found[0] is not found[1]:
        raise InvalidRequestError(f"cannot copy from {source!r} to {destination!r}: the schemes do not match")
    return found[0]
