"""Values of space release: the state of a block, the policy, the decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.model import Did, Product, RetentionClass, Rse, Rule
from ctao_bdms.naming import BlockName
from ctao_bdms.preservation.proofs import BlockProofs
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctao_bdms.errors import BdmsError
    from ctao_bdms.model import Night

__all__ = ["HeldBlock", "SpaceRelease", "SpacePolicy", "SpaceReleases", "Decision"]


class Decision(StrEnum):
    """Whether the copy of a block on site can be deleted."""

    #: it can be deleted
    RELEASE = "release"
    #: it can be deleted once the copies at two centres have been read back
    VERIFY = "verify first"
    #: it stays
    KEEP = "keep"
    #: it was to be deleted and stays: a copy is not sound, or a request was refused
    FAILED = "not released"
    #: its rule has ended, and files are still on site
    ENDED = "rule ended"
    #: no file of it is on site
    RELEASED = "released"


@attrs.frozen(kw_only=True)
class SpacePolicy:
    """When the copy of a block on site can be deleted.

    Attributes
    ----------
    older_than
        Minimum time since the block was opened.
    by_class
        The same for single retention classes; None: never.
    proof_age
        Maximum age of the proof that a copy is sound.
    """

    older_than: dt.timedelta = dt.timedelta(days=60)
    by_class: Mapping[RetentionClass, dt.timedelta | None] = MappingProxyType({})
    proof_age: dt.timedelta = dt.timedelta(days=1)

    @classmethod
    def of_days(cls, onsite_days: Mapping[RetentionClass, float | None]) -> SpacePolicy:
        """Return the policy for given days on site by retention class; None: for ever."""
        return cls(
            by_class={
                retention: None if days is None else dt.timedelta(days=days) for retention, days in onsite_days.items()
            }
        )

    def stays(self, retention: RetentionClass) -> dt.timedelta | None:
        """Return how long a retention class stays on site; None if for ever."""
        return self.by_class.get(retention, self.older_than)


@attrs.frozen(kw_only=True)
class HeldBlock:
    """The state of a block in the catalogue.

    Attributes
    ----------
    account
        The owner of the block: only rules of this account are ours.
    is_open
        Whether files can still be added.
    held
        Its files, with its manifest.
    onsite
        The storage element on site.
    n_onsite
        The number of its files with a replica on site.
    complete
        Readable storage elements off site with an available replica of every file, and their centres.
    shut
        Storage elements off site that are lost or cannot be read: their replicas do not count.
    proofs
        The proofs recorded about it.
    """

    did: Did
    account: str
    is_open: bool
    held: tuple[Product, ...]
    onsite: Rse
    n_onsite: int
    rules: tuple[Rule, ...]
    complete: Mapping[str, str]
    shut: tuple[Rse, ...]
    proofs: BlockProofs

    @property
    def our_rules(self) -> tuple[Rule, ...]:
        """The rules of the block's owner."""
        return tuple(rule for rule in self.rules if rule.account == self.account)

    @property
    def onsite_rules(self) -> tuple[Rule, ...]:
        """Our rules for the copy on site, with those that have an end."""
        return tuple(rule for rule in self.our_rules if rule.rse_expression == self.onsite.name)

    def others_on_site(self, now: dt.datetime) -> tuple[str, ...]:
        """Return other accounts whose rules hold the copy on site."""
        places = {self.onsite.name, f"site={self.onsite.site}"}
        standing = [rule for rule in self.rules if rule.expires is None or rule.expires > now]
        others = {rule.account for rule in standing if rule.rse_expression in places} - {self.account}
        return tuple(sorted(others))

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(product.size_bytes for product in self.held)


@attrs.frozen(kw_only=True)
class SpaceRelease:
    """The decision about the copy of a block on site.

    Attributes
    ----------
    did
        The block.
    n_files, size_bytes
        Its files, and their size together.
    verdict
        The decision.
    verified
        The centres whose copies were read back and found sound.
    why
        The reason, in words.
    """

    did: Did
    n_files: int
    size_bytes: int
    #: named as in the JSON of `bdms release`
    verdict: Decision
    verified: tuple[str, ...] = ()
    why: str = ""

    @property
    def block(self) -> str:
        """The name of the block."""
        return self.did.name

    @property
    def night(self) -> Night:
        """The night of the block."""
        return BlockName.parse(self.did.name).night


class SpaceReleases(Rows[SpaceRelease]):
    """Decisions about blocks, one row a block, the oldest first.

    Parameters
    ----------
    stopped
        The error that ended the run before its last block; None if none did.
    """

    columns: ClassVar = (
        ("block", "block"),
        ("files", "n_files"),
        ("bytes", "size_bytes"),
        ("verdict", "verdict"),
        ("verified at", "verified"),
        ("why", "why"),
    )

    def __init__(self, rows: Iterable[SpaceRelease], stopped: BdmsError | None = None) -> None:
        super().__init__(rows)
        self.stopped = stopped

    def of(self, *decisions: Decision) -> SpaceReleases:
        """Return the rows with one of these decisions."""
        return SpaceReleases(row for row in self if row.verdict in decisions)

    @property
    def size_bytes(self) -> int:
        """The size of all blocks together."""
        return sum(row.size_bytes for row in self)
