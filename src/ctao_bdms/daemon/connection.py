"""The daemon's way to the archive: made when it is needed, made anew when credentials were refused, fenced."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctao_bdms.errors import AuthenticationError
from ctao_bdms.model import DEFAULT_ACTIVITY

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.catalogue import Catalogue, Query
    from ctao_bdms.model import ArchivedFile, Block, Did, Lfn, Product, Registration, Rse, Rule

__all__ = ["Connection"]


class Connection:
    """A catalogue that is connected at the first question, and checks before each change that it may still make it.

    Parameters
    ----------
    connect
        Connects to the archive.
    check
        Raises `LeaseLostError` if another daemon has taken the place of this one.
    """

    def __init__(self, connect: Callable[[], Catalogue], check: Callable[[], None]) -> None:
        self._connect = connect
        self._check = check
        self._catalogue: Catalogue | None = None

    @contextmanager
    def _asked(self, *, changes: bool = False) -> Iterator[Catalogue]:
        """Yield the catalogue; one that refuses the credentials is connected anew the next time."""
        if self._catalogue is None:
            self._catalogue = self._connect()
        if changes:
            self._check()
        try:
            yield self._catalogue
        except AuthenticationError:
            self._catalogue = None
            raise

    def rses(self) -> Mapping[str, Rse]:
        """Return all storage elements by name."""
        with self._asked() as catalogue:
            return catalogue.rses()

    def scopes(self) -> Sequence[str]:
        """Return the scopes that hold products."""
        with self._asked() as catalogue:
            return catalogue.scopes()

    def room_bytes(self, rse: str) -> int | None:
        """Return how many bytes more the account may keep at `rse`."""
        with self._asked() as catalogue:
            return catalogue.room_bytes(rse)

    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        """Return those of `lfns` that the catalogue knows."""
        with self._asked() as catalogue:
            return catalogue.files(lfns)

    def find(self, query: Query) -> Iterator[Product]:
        """Yield the products that answer `query`."""
        with self._asked() as catalogue:
            yield from catalogue.find(query)

    def ensure_directories(self, lfns: Iterable[Lfn]) -> None:
        """Make sure that all directories above `lfns` exist."""
        with self._asked(changes=True) as catalogue:
            catalogue.ensure_directories(lfns)

    def missing_directories(self, lfns: Iterable[Lfn]) -> Sequence[Did]:
        """Return the directories above `lfns` that do not exist."""
        with self._asked() as catalogue:
            return catalogue.missing_directories(lfns)

    def open_block(self, block: Did) -> None:
        """Create the empty, open block."""
        with self._asked(changes=True) as catalogue:
            catalogue.open_block(block)

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        """Register `files` where they lie on `rse`."""
        with self._asked(changes=True) as catalogue:
            catalogue.register(block, rse, files)

    def close_block(self, block: Did) -> None:
        """Close the block for ever."""
        with self._asked(changes=True) as catalogue:
            catalogue.close_block(block)

    def blocks(self, scope: str, pattern: str) -> Sequence[Block]:
        """Return the blocks of `scope` whose names match `pattern`."""
        with self._asked() as catalogue:
            return catalogue.blocks(scope, pattern)

    def fulfilled_since(self, since: dt.datetime) -> AbstractSet[Did]:
        """Return what has a rule that is fulfilled and has changed after `since`."""
        with self._asked() as catalogue:
            return catalogue.fulfilled_since(since)

    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        """Return the rules on each of the datasets `names`."""
        with self._asked() as catalogue:
            return catalogue.rules(scope, names)

    def add_rule(
        self,
        did: Did,
        *,
        rse_expression: str,
        source: str = "",
        lifetime_s: int | None = None,
        activity: str = DEFAULT_ACTIVITY,
        priority: int = 3,
    ) -> None:
        """Ask for one copy of `did` in `rse_expression`."""
        with self._asked(changes=True) as catalogue:
            catalogue.add_rule(
                did,
                rse_expression=rse_expression,
                source=source,
                lifetime_s=lifetime_s,
                activity=activity,
                priority=priority,
            )
