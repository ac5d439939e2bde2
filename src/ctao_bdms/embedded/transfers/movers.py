"""How bytes move: one mover for each family of schemes, chosen from one table."""

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
    """Moves the bytes of one family of URL schemes."""

    def check(self, url: str) -> None:
        """Refuse a URL that can never be served with `InvalidRequestError`."""

    def move(self, order: Order, abandoned: Callable[[], bool]) -> int:
        """Make and verify one copy; return its size in bytes.

        Raises
        ------
        TransferFailedError
            If the copy could not be made; nothing of it is left behind, unless it says so.
        TransferAbandonedError
            If `abandoned` became true before it was made; nothing of it is left behind, unless it says so.
        """

    def clean(self, order: Order) -> bool:
        """Remove what a copy that ended half-way left behind; return whether nothing is left."""


def make_movers(roots: Sequence[Path]) -> Mapping[str, Mover]:
    """Return the movers by scheme. `roots` are the folders that ``file://`` may touch; none means all."""
    return {"file": FileMover(tuple(root.resolve() for root in roots)), "http": ThirdPartyMover()}


def mover_for(movers: Mapping[str, Mover], source: str, destination: str) -> Mover:
    """Return the mover that serves both ends of a copy, with both URLs checked."""
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
        raise InvalidRequestError(f"there is no way to copy from {source!r} to {destination!r}: the schemes do not fit")
    return found[0]
