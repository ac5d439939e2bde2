"""The policy: how each kind of product is kept.

A file says it (`policyfile` reads it, `placement` and `rules` follow it). What it says of a retention class holds for
all blocks of that class, also for those that were made before.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import attrs

from ctao_bdms.model import (
    Category,
    DataDivision,
    DataLevel,
    Did,
    FirstRule,
    Night,
    ProductMetadata,
    RetentionClass,
    Site,
)
from ctao_bdms.naming import BlockName
from ctao_bdms.settings import setting

__all__ = ["CentreTerms", "PlacementTerms", "Policy", "ProductEntry", "Retention"]


@attrs.frozen(kw_only=True)
class Retention:
    """How the products of a retention class are kept."""

    copies: int = setting("Distinct centres that keep a copy, beside the site.", least=1, most=20, example=2)
    centres: Mapping[str, float] | None = setting(
        "The centres and the share that each takes; empty: all, with the shares that their storage elements state.",
        None,
        least=0,
    )
    order: tuple[str, ...] = setting(
        "Centres that come first, in this order, whatever their shares: the first of them receives from the site.", ()
    )
    tape: bool = setting("Whether one of the copies is on tape.", False)
    lifetime_s: int | None = setting("Time for which copies are kept; empty: for ever.", None, least=60)
    priority: int = setting("Priority of the transfers: 5 is the most urgent.", 3, least=1, most=5)
    activity: str = setting("What the transfers are for: their part of each link.", "T0 Export")
    onsite_days: float | None = setting(
        "Days, from the opening of its block, after which the copy on site may be released; empty: it stays. Only for "
        "classes without lifetime_s and with two copies or more: release needs two centres that keep theirs for ever.",
        None,
        least=0,
    )
    quota_bytes: int | None = setting("The most that one account may keep; empty: no limit.", None, least=0)

    @property
    def lifetime(self) -> dt.timedelta | None:
        """How long copies are kept; None if for ever."""
        return None if self.lifetime_s is None else dt.timedelta(seconds=self.lifetime_s)


@attrs.frozen(kw_only=True)
class ProductEntry:
    """Which products a retention class is for: all that is said must hold, and the first entry that fits counts."""

    retention: RetentionClass = setting("The retention class.", example="permanent")
    levels: tuple[DataLevel, ...] = setting("Data levels; empty: any.", ())
    categories: tuple[Category, ...] = setting("Processing categories; empty: any.", ())
    sites: tuple[Site, ...] = setting("Sites; empty: any.", ())
    divisions: tuple[DataDivision, ...] = setting("Divisions; empty: any.", ())
    kinds: tuple[str, ...] = setting("Kinds of product, as `data__type` has them; empty: any.", ())
    scopes: tuple[str, ...] = setting("Scopes, with `*`; empty: any.", ())

    def fits(self, metadata: ProductMetadata, category: str, scope: str) -> bool:
        """Return whether a product is meant."""
        said = (
            (self.levels, metadata.get("data__level")),
            (self.categories, category or metadata.get("instance__category")),
            (self.sites, metadata.get("instance__site_id")),
            (self.divisions, metadata.get("data__division")),
            (self.kinds, metadata.get("data__type")),
        )
        return all(not wanted or found in {str(each) for each in wanted} for wanted, found in said) and (
            not self.scopes or any(fnmatch.fnmatchcase(scope, pattern) for pattern in self.scopes)
        )


@attrs.frozen(kw_only=True)
class CentreTerms:
    """Which nights a centre takes; what it has already, it keeps."""

    first_night: dt.date | None = setting("The first night that it takes; empty: all.", None)
    last_night: dt.date | None = setting("The last night that it takes; empty: all.", None)

    def takes(self, night: Night) -> bool:
        """Return whether the centre takes the data of `night`."""
        early = self.first_night is not None and night.date < self.first_night
        late = self.last_night is not None and night.date > self.last_night
        return not early and not late


@attrs.frozen(kw_only=True)
class PlacementTerms:
    """What placement goes by."""

    keep_free_bytes: int = setting(
        "Free space below which a centre counts as full, where it says its free space.", 0, least=0
    )


@attrs.frozen(kw_only=True)
class Policy:
    """How the archive keeps its products.

    Attributes
    ----------
    source
        The file that it was read from.
    retentions
        What each retention class means.
    products
        Which products belong to which class; the first entry that fits counts.
    centres
        Which nights centres take, by their name; those that are not named take all.
    placement
        What placement goes by.

    Examples
    --------
    >>> policy = Policy.load()
    >>> policy.retention_for(ProductMetadata({"data__level": "DL0"})).value
    'permanent'
    >>> policy.retention(RetentionClass.PERMANENT).copies
    2
    """

    source: Path = attrs.field(eq=False)
    retentions: Mapping[RetentionClass, Retention]
    products: tuple[ProductEntry, ...]
    centres: Mapping[str, CentreTerms] = attrs.field(factory=dict)
    placement: PlacementTerms = attrs.field(factory=PlacementTerms)

    @classmethod
    def load(cls, path: Path | str | None = None) -> Policy:
        """Read a policy file.

        Parameters
        ----------
        path
            The file; by default the observatory's own policy, which comes with the package.

        Raises
        ------
        InvalidSettingsError
            If anything in it is wrong; it says all of it.
        """
        from ctao_bdms.replication.policyfile import default_policy, read_policy

        return default_policy() if path is None else read_policy(Path(path))

    def retention_for(self, metadata: ProductMetadata, category: str = "", *, scope: str = "") -> RetentionClass:
        """Return the retention class of a product.

        Parameters
        ----------
        metadata
            What is known of it.
        category
            Its processing category; by default the one in the metadata.
        scope
            Its scope.
        """
        return next(entry.retention for entry in self.products if entry.fits(metadata, category, scope))

    def retention_of(self, metadata: ProductMetadata, scope: str) -> RetentionClass:
        """Return the retention class of a product of a scope, as planning an ingest asks for it."""
        return self.retention_for(metadata, scope=scope)

    def first_rule(self, block: Did, rse: str) -> FirstRule:
        """Return the rule with which a block is opened: it holds the replicas where they are registered.

        Parameters
        ----------
        block
            The block.
        rse
            The storage element where its files are registered.
        """
        name = BlockName.parse(block.name)
        terms = self.retention(name.retention)
        return FirstRule(
            rse_expression=f"centre={name.origin}" if name.origin else rse,
            lifetime_s=terms.lifetime_s,
            activity=terms.activity,
            priority=terms.priority,
        )

    def retention(self, retention_class: RetentionClass) -> Retention:
        """Return what a retention class means."""
        return self.retentions[retention_class]

    def takes(self, centre: str, night: Night) -> bool:
        """Return whether a centre takes the data of a night."""
        return centre not in self.centres or self.centres[centre].takes(night)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of what the policy says, 64 hexadecimal digits; the layout of the file does not count."""
        said = attrs.asdict(self, filter=attrs.filters.exclude("source"))
        said["retentions"] = {str(name): attrs.asdict(each) for name, each in self.retentions.items()}
        text = json.dumps(said, sort_keys=True, default=str, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
