"""Catalogue protocols, one a group of verbs, and `Catalogue` with all of them.

A function takes the narrowest protocol that it needs, never an adapter. Every adapter passes the contract in
`ctao_bdms.testing.contract`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ctao_bdms.model import DEFAULT_ACTIVITY

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.catalogue.metadata_query import MetadataQuery
    from ctao_bdms.model import (
        ArchivedFile,
        Attempt,
        Block,
        Did,
        FirstRule,
        Lfn,
        Product,
        Registration,
        Rse,
        Rule,
        Value,
    )

__all__ = [
    "RuleAddingCatalogue",
    "AnnotationCatalogue",
    "Catalogue",
    "RuleChangingCatalogue",
    "RuleEndingCatalogue",
    "ProductCatalogue",
    "BlockCatalogue",
    "RuleCatalogue",
    "TransferCatalogue",
    "StorageCatalogue",
    "FileCatalogue",
    "LostStorageCatalogue",
    "BadReplicaCatalogue",
    "ContentCatalogue",
    "RegistrationCatalogue",
]


class StorageCatalogue(Protocol):
    """Storage elements, scopes and quotas."""

    def rses(self) -> Mapping[str, Rse]:
        """Return all storage elements by name."""

    def scopes(self) -> Sequence[str]:
        """Return the scopes that hold products: all but the root of the tree and the users' own, sorted."""

    def room(self, account: str = "") -> Mapping[str, float]:
        """Return how much more an account, by default the own one, may keep at each storage element, in bytes.

        Raises
        ------
        ForbiddenError
            If the account that asks may not know.
        """

    def kept(self, account: str = "") -> Mapping[str, int]:
        """Return how much an account, by default the own one, keeps at each storage element, in bytes.

        Raises
        ------
        ForbiddenError
            If the account that asks may not know.
        """


class LostStorageCatalogue(Protocol):
    """Mark storage elements as lost: their replicas no longer count."""

    def mark_lost(self, rse: str, reason: str) -> None:
        """Mark a storage element as lost, and shut it; without a reason, take that back and open it.

        Raises
        ------
        ForbiddenError
            If the account is not the archive's administrator.
        UnknownRseError
            If there is no such storage element.
        """


class FileCatalogue(Protocol):
    """Look up files by name."""

    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        """Return those of `lfns` that the catalogue knows, with their copies and datasets."""


class ContentCatalogue(Protocol):
    """Resolve names of files, datasets and containers to files."""

    def content(self, names: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        """Return the files that `names` stand for, with all URLs of their copies and without their datasets.

        A file stands for itself; a dataset (a directory that holds files, a block) or a container for all files in it
        and below it.

        Raises
        ------
        NotFoundError
            If the catalogue does not know one of the names.
        """


class BadReplicaCatalogue(Protocol):
    """Report bad and suspicious replicas."""

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        """Say that the copy of a file at `rse` has other bytes than the file; nothing happens if that is known.

        Raises
        ------
        ForbiddenError
            If the account may not say so.
        NotFoundError
            If there is no such copy.
        """

    def declare_suspicious(self, lfn: Lfn, rse: str, reason: str) -> None:
        """Say that the copy of a file at `rse` could not be read; it is counted, and its state stays as it is.

        Raises
        ------
        ForbiddenError
            If the account may not say so.
        NotFoundError
            If there is no such copy.
        """


class ProductCatalogue(Protocol):
    """Search products by metadata."""

    def find(self, query: MetadataQuery) -> Iterator[Product]:
        """Yield the products that answer `query`, in its order; never more of them are in memory than a page.

        Products that arrive while this is read may be among them or not; none comes twice.
        """

    def tally(self, query: MetadataQuery, key: str = "") -> Mapping[Value | None, int]:
        """Return how many products answer `query` (its order and limit do not matter), by their values of `key`.

        Those without a value are counted under None, and so are all if `key` is empty.
        """


class RegistrationCatalogue(Protocol):
    """Register files, in directories and blocks."""

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

    def open_block(self, block: Did, rule: FirstRule | None = None) -> None:
        """Create the empty, open block, with the rule that holds what is registered in it; all or nothing.

        Nothing happens if the block exists.

        Raises
        ------
        NotFoundError
            If the scope does not exist, or no storage element answers the expression of the rule.
        NoRoomError
            If the account may not keep more there.
        """

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        """Register `files` where they lie on `rse`, with their metadata, in their directories and in `block`.

        All or nothing; files that are there already with the same size and digest are left as they are. What lies
        beside the tree, the manifest of a block, has no directory.

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


class BlockCatalogue(Protocol):
    """List blocks and their content."""

    def blocks(self, scope: str, pattern: str, *, opened_since: dt.datetime | None = None) -> Sequence[Block]:
        """Return the blocks of `scope` whose names match `pattern` (``*`` stands for anything), by name.

        With `opened_since` (aware) only those made since then: of all years they are few.
        """

    def products_in(self, block: Did) -> Sequence[Product]:
        """Return the files in `block` with their metadata, by name; its manifest is among them, without metadata.

        A block that does not exist holds nothing.
        """


class RuleCatalogue(Protocol):
    """Read replication rules."""

    def fulfilled_since(self, since: dt.datetime) -> Mapping[Did, AbstractSet[str]]:
        """Return DIDs whose rules became OK after `since` (aware), with the identifiers of those rules."""

    def unfulfilled(self, scope: str) -> AbstractSet[Did]:
        """Return the DIDs of `scope` that have a rule with missing replicas."""

    def rule(self, rule_id: str) -> Rule:
        """Return a rule.

        Raises
        ------
        NotFoundError
            If there is no such rule.
        """

    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        """Return the rules on each of the datasets `names` of `scope`, oldest first as far as it knows."""


class TransferCatalogue(Protocol):
    """Read the transfers of a rule."""

    def attempts(self, rule: Rule, looked_at: int) -> Sequence[Attempt]:
        """Return the copies that `rule` still waits for, those that are stuck first.

        Of the first `looked_at` it is asked what their transfers said.
        """


class RuleAddingCatalogue(Protocol):
    """Add replication rules."""

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


class RuleChangingCatalogue(Protocol):
    """Change replication rules; each method raises `NotFoundError` if there is no such rule."""

    def prolong_rule(self, rule_id: str) -> None:
        """Let a rule stand for ever."""

    def redirect_rule(self, rule_id: str, source: str) -> None:
        """Have the transfers that a rule will still ask for read from `source`, an RSE expression."""

    def retry_rule(self, rule_id: str) -> None:
        """Have a rule that is stuck tried again soon."""


class RuleEndingCatalogue(Protocol):
    """End replication rules."""

    def end_rule(self, rule_id: str) -> None:
        """End a rule at once; what no other rule holds there is then deleted by the archive itself.

        Raises
        ------
        NotFoundError
            If there is no such rule.
        ForbiddenError
            If the account may not end it: two centres must hold all of a block before its copy on site can go.
        """


class AnnotationCatalogue(Protocol):
    """Read and write notes on datasets, apart from product metadata."""

    def annotate(self, did: Did, notes: Mapping[str, object]) -> None:
        """Write notes about `did`, values of JSON; those under other keys stay as they are."""

    def annotations(self, did: Did) -> Mapping[str, Any]:
        """Return the notes about `did`.

        Raises
        ------
        NotFoundError
            If there is no such data identifier.
        """


class Catalogue(
    StorageCatalogue,
    LostStorageCatalogue,
    FileCatalogue,
    ContentCatalogue,
    BadReplicaCatalogue,
    ProductCatalogue,
    RegistrationCatalogue,
    BlockCatalogue,
    RuleCatalogue,
    TransferCatalogue,
    RuleAddingCatalogue,
    RuleChangingCatalogue,
    AnnotationCatalogue,
    RuleEndingCatalogue,
    Protocol,
):
    """The whole catalogue: all protocols of this module."""
