"""The policy: how each kind of product is kept.

A file says it (`policyfile` reads it, `placement` and `rules` follow it). What it says of a retention class holds for
all blocks of that class, also for those that were made before.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import attrs

from ctao_bdms.model import Did, FirstRule, Night, ProductMetadata, RetentionClass
from ctao_bdms.naming import BlockName
from ctao_bdms.replication.policyfile import DEFAULT, read_terms
from ctao_bdms.replication.terms import CentreTerms, PlacementTerms, ProductEntry, Retention

__all__ = ["Policy"]


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
        return _default() if path is None else cls(source=Path(path), **read_terms(Path(path)))

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

    @property
    def onsite_days(self) -> Mapping[RetentionClass, float | None]:
        """The days after which copies on site may be released, by retention class; None: never."""
        return {name: terms.onsite_days for name, terms in self.retentions.items()}

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


@functools.cache
def _default() -> Policy:
    return Policy.load(DEFAULT)
