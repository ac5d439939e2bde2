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
    from ctao_bdms.model import ArchivedFile, Attempt, Block, Did, Lfn, Product, Registration, Rse, Rule

__all__ = [
    "AddRules",
    "Catalogue",
    "ChangeRules",
    "EndRules",
    "Find",
    "FindBlocks",
    "FindRules",
    "FindTransfers",
    "KnowStorage",
    "Lookup",
    "MarkStorage",
    "Register",
]


class KnowStorage(Protocol):
    """Which storage elements and scopes there are."""

    def rses(self) -> Mapping[str, Rse]:
        """Return all storage elements by name."""

    def scopes(self) -> Sequence[str]:
        """Return the scopes that hold products: all but the root of the tree and the users' own, sorted."""


class MarkStorage(Protocol):
    """How it is said of storage elements that their copies count no longer."""

    def mark_lost(self, rse: str, reason: str) -> None:
        """Mark a storage element as lost, and shut it; without a reason, take that back and open it.

        Raises
        ------
        ForbiddenError
            If the account is not the archive's administrator.
        UnknownRseError
            If there is no such storage element.
        """


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

    def rule(self, rule_id: str) -> Rule:
        """Return a rule.

        Raises
        ------
        NotFoundError
            If there is no such rule.
        """

    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        """Return the rules on each of the datasets `names` of `scope`, oldest first as far as it knows."""


class FindTransfers(Protocol):
    """What became of transfers, and how much room there is for more."""

    def attempts(self, rule: Rule, looked_at: int) -> Sequence[Attempt]:
        """Return the copies that `rule` still waits for, those that are stuck first.

        Of the first `looked_at` it is asked what their transfers said.
        """

    def room(self, account: str) -> Mapping[str, float]:
        """Return how much more an account may keep at each storage element, in bytes.

        Raises
        ------
        ForbiddenError
            If the account that asks may not know.
        """


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
        account: str = "",
    ) -> None:
        """Ask for one copy of `did` in `rse_expression`, read from `source` (an RSE expression; empty = anywhere).

        It ends after `lifetime_s`, if that is given. Its transfers are for `activity`, at `priority` from 1 to 5. The
        rule belongs to `account`; empty for the one that asks. Nothing happens if it has the same rule already.

        Raises
        ------
        NotFoundError
            If no storage element answers the expression.
        NoRoomError
            If no storage element that does takes so much of the account's data.
        """


class ChangeRules(Protocol):
    """How rules that exist are changed; each raises `NotFoundError` if there is no such rule."""

    def prolong_rule(self, rule_id: str) -> None:
        """Let a rule stand for ever."""

    def redirect_rule(self, rule_id: str, source: str) -> None:
        """Have the transfers that a rule will still ask for read from `source`, an RSE expression."""

    def retry_rule(self, rule_id: str) -> None:
        """Have a rule that is stuck tried again soon."""


class EndRules(Protocol):
    """How replication is no longer asked for."""

    def end_rule(self, rule_id: str) -> None:
        """End a rule at once; what no other rule holds there is then deleted by the archive itself.

        Raises
        ------
        NotFoundError
            If there is no such rule.
        ForbiddenError
            If the account may not end it: two centres must hold all of a block before its copy on site can go.
        """


class Catalogue(
    KnowStorage,
    MarkStorage,
    Lookup,
    Find,
    Register,
    FindBlocks,
    FindRules,
    FindTransfers,
    AddRules,
    ChangeRules,
    EndRules,
    Protocol,
):
    """All that the archive can be asked and told."""
