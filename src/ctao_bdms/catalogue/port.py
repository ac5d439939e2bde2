"""What the archive can be asked and told: one protocol a verb, and all of them together.

A function of the rooms above asks for the verbs that it needs, not for an adapter. Every adapter passes the contract in
`ctao_bdms.testing.contract`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ctao_bdms.model import DEFAULT_ACTIVITY

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.catalogue.query import Query
    from ctao_bdms.model import ArchivedFile, Block, Did, Lfn, Product, Registration, Rse, Rule

__all__ = ["AddRules", "Catalogue", "Find", "FindBlocks", "FindRules", "KnowStorage", "Lookup", "Register"]


class KnowStorage(Protocol):
    """Which storage elements and scopes there are."""

    def rses(self) -> Mapping[str, Rse]:
        """Return all storage elements by name."""

    def scopes(self) -> Sequence[str]:
        """Return the scopes that hold products: all but the root of the tree and the users' own, sorted."""

    def room_bytes(self, rse: str) -> int | None:
        """Return how many bytes more the account may keep at `rse`; None if there is no limit."""


class Lookup(Protocol):
    """What is known of files whose names are known."""

    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        """Return those of `lfns` that the catalogue knows, with their copies and datasets."""


class Find(Protocol):
    """Which products there are."""

    def find(self, query: Query) -> Iterator[Product]:
        """Yield the products that answer `query`, in the order of their names.

        Raises
        ------
        InvalidMetadataError
            If a key does not exist or a value does not fit its key.
        """


class Register(Protocol):
    """How files enter the catalogue."""

    def ensure_directories(self, lfns: Iterable[Lfn]) -> None:
        """Make sure that all directories above `lfns` exist and hang together.

        Raises
        ------
        NotFoundError
            If the scope of a name does not exist: scopes are made by the archive's administrator.
        """

    def missing_directories(self, lfns: Iterable[Lfn]) -> Sequence[Did]:
        """Return the directories above `lfns` that do not exist yet; nothing is changed.

        Raises
        ------
        NotFoundError
            If the scope of a name does not exist.
        """

    def open_block(self, block: Did) -> None:
        """Create the empty, open block; nothing happens if it exists."""

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        """Register `files` where they lie on `rse`, with their metadata, in their directories and in `block`.

        All or nothing; files that are there already with the same size and digest are left as they are.

        Raises
        ------
        ConflictError
            If the catalogue holds other content under one of the names.
        BlockClosedError
            If the block is closed.
        RefusedError
            If a name or a metadata value is not taken.
        ForbiddenError
            If the account may not register files on `rse`.
        """

    def close_block(self, block: Did) -> None:
        """Close the block for ever; nothing happens if it is closed."""


class FindBlocks(Protocol):
    """Which blocks there are."""

    def blocks(self, scope: str, pattern: str) -> Sequence[Block]:
        """Return the blocks of `scope` whose names match `pattern` (``*`` stands for anything), by name."""


class FindRules(Protocol):
    """Which replication rules there are."""

    def fulfilled_since(self, since: dt.datetime) -> AbstractSet[Did]:
        """Return the data identifiers that have a rule which is fulfilled and has changed after `since` (aware)."""

    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        """Return the rules on each of the datasets `names` of `scope`, oldest first as far as it knows."""


class AddRules(Protocol):
    """How replication is asked for."""

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
        """Ask for one copy of `did` in `rse_expression`, read from `source` (an RSE expression; empty = anywhere).

        It ends after `lifetime_s`, if that is given. Its transfers are for `activity`, at `priority` from 1 to 5.

        Nothing happens if the account has the same rule already.

        Raises
        ------
        NotFoundError
            If no storage element answers the expression.
        """


class Catalogue(KnowStorage, Lookup, Find, Register, FindBlocks, FindRules, AddRules, Protocol):
    """All that the archive can be asked and told."""
