"""Catalogue protocols, one for each group of methods, and `Catalogue` with all of them.

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
        """Return the scopes of products, sorted: all but the root scope and the scopes of users."""

    def account(self) -> str:
        """Return our own account."""

    def room(self, account: str = "") -> Mapping[str, float]:
        """Return the free quota of an account (default: our own) at each storage element, in bytes.

        Raises
        ------
        ForbiddenError
            If our account may not read it.
        """

    def kept(self, account: str = "") -> Mapping[str, int]:
        """Return the usage of an account (default: our own) at each storage element, in bytes.

        Raises
        ------
        ForbiddenError
            If our account may not read it.
        """


class LostStorageCatalogue(Protocol):
    """Mark storage elements as lost: their replicas no longer count."""

    def mark_lost(self, rse: str, reason: str) -> None:
        """Mark a storage element as lost and make it unavailable; without a reason, undo both.

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
        """Return those of `lfns` that are registered, with their replicas and datasets."""


class ContentCatalogue(Protocol):
    """Resolve names of files, datasets and containers to files."""

    def content(self, names: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        """Return the files that `names` resolve to, with all URLs of their replicas and without their datasets.

        A file resolves to itself; a dataset (a directory with files, a block) or a container to all files below it.

        Raises
        ------
        NotFoundError
            If one of the names is not registered.
        """


class BadReplicaCatalogue(Protocol):
    """Report bad and suspicious replicas."""

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        """Declare a replica bad because its bytes differ from the file; no effect if it is already declared.

        Raises
        ------
        ForbiddenError
            If the account may not declare it.
        NotFoundError
            If there is no such replica.
        """

    def declare_suspicious(self, lfn: Lfn, rse: str, reason: str) -> None:
        """Declare a replica suspicious because it could not be read; this is counted and does not change its state.

        Raises
        ------
        ForbiddenError
            If the account may not declare it.
        NotFoundError
            If there is no such replica.
        """


class ProductCatalogue(Protocol):
    """Search products by metadata."""

    def find(self, query: MetadataQuery) -> Iterator[Product]:
        """Yield the products that match `query`, in its order, with at most one page in memory.

        Products that are registered during the iteration may be missing, but none is yielded twice.
        """

    def tally(self, query: MetadataQuery, key: str = "") -> Mapping[Value | None, int]:
        """Count the products that match `query` by their values of `key`; order and limit are ignored.

        Products without a value are counted under None; with an empty `key`, all are.
        """


class RegistrationCatalogue(Protocol):
    """Register files, in directories and blocks."""

    def ensure_directories(self, lfns: Iterable[Lfn]) -> None:
        """Create the missing directories above `lfns` and attach each to its parent.

        Raises
        ------
        NotFoundError
            If the scope of a name does not exist: scopes are made by the archive's administrator.
        """

    def missing_directories(self, lfns: Iterable[Lfn]) -> Sequence[Did]:
        """Return the directories above `lfns` that do not exist yet; changes nothing.

        Raises
        ------
        NotFoundError
            If the scope of a name does not exist.
        """

    def open_block(self, block: Did, rule: FirstRule | None = None) -> None:
        """Create an empty open block, with the rule that holds its future files; all or nothing.

        No effect if the block exists.

        Raises
        ------
        NotFoundError
            If the scope does not exist, or no storage element matches the expression of the rule.
        NoRoomError
            If the quota of the account is used up.
        """

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        """Register `files` on `rse`, with their metadata, in their directories and in `block`.

        All or nothing. Files that are registered with the same size and checksum are left unchanged. The manifest of a
        block is outside the tree and has no directory.

        Raises
        ------
        ConflictError
            If a name is already registered with other content.
        BlockClosedError
            If the block is closed.
        RefusedError
            If a name or a metadata value is invalid.
        ForbiddenError
            If the account may not register files on `rse`.
        """

    def close_block(self, block: Did) -> None:
        """Close the block permanently; no effect if it is closed."""

    def reopen_block(self, block: Did) -> None:
        """Open a closed block that contains a file which its manifest does not list; no effect if it is open.

        Raises
        ------
        ForbiddenError
            If its manifest lists all files, or the block belongs to another account.
        NotFoundError
            If there is no such block.
        """


class BlockCatalogue(Protocol):
    """List blocks and their content."""

    def blocks(self, scope: str, pattern: str, *, opened_since: dt.datetime | None = None) -> Sequence[Block]:
        """Return the blocks of `scope` whose names match `pattern` (with ``*`` as a wildcard), sorted by name.

        `opened_since` (aware) restricts the answer to newer blocks, which is much less than the blocks of all years.
        """

    def products_in(self, block: Did) -> Sequence[Product]:
        """Return the files in `block` with their metadata, sorted by name; its manifest is included, without metadata.

        A block that does not exist has no files.
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
        """Return the rules on each of the datasets `names` of `scope`, oldest first where the age is known."""


class TransferCatalogue(Protocol):
    """Read the transfers of a rule."""

    def attempts(self, rule: Rule, looked_at: int) -> Sequence[Attempt]:
        """Return the missing replicas of `rule`, stuck ones first.

        Messages of their transfers are read for the first `looked_at` only.
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
        """Request one replica of `did` in `rse_expression`, read from `source` (an RSE expression; empty = anywhere).

        The rule expires after `lifetime_s`, if given. Its transfers have the given activity, and a priority from 1 to
        5. The rule belongs to `account` (empty: our own). No effect if the account has the same rule already.

        Raises
        ------
        NotFoundError
            If no storage element matches the expression.
        NoRoomError
            If the quota of the account is too small at all of them.
        """


class RuleChangingCatalogue(Protocol):
    """Change replication rules; each method raises `NotFoundError` if there is no such rule."""

    def prolong_rule(self, rule_id: str) -> None:
        """Remove the lifetime of a rule."""

    def redirect_rule(self, rule_id: str, source: str) -> None:
        """Set the source of future transfers of a rule, an RSE expression."""

    def retry_rule(self, rule_id: str) -> None:
        """Retry a stuck rule soon."""


class RuleEndingCatalogue(Protocol):
    """End replication rules."""

    def end_rule(self, rule_id: str) -> None:
        """End a rule at once; the archive then deletes the replicas that no other rule holds.

        Raises
        ------
        NotFoundError
            If there is no such rule.
        ForbiddenError
            If the account may not end it: a copy on site can be deleted only when two centres hold the whole block.
        """


class AnnotationCatalogue(Protocol):
    """Read and write notes on datasets, separate from product metadata."""

    def annotate(self, did: Did, notes: Mapping[str, object]) -> None:
        """Write notes on `did`, values of JSON; notes under other keys are kept."""

    def annotations(self, did: Did) -> Mapping[str, Any]:
        """Return the notes on `did`.

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
