"""The policy: how each kind of product is kept.

It is read from a file by `policyfile`, and followed by `placement` and `rules`. A change of a retention class applies
to all blocks of that class, old and new.
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
    """Retention and placement of products.

    Attributes
    ----------
    source
        The file that it was read from.
    retentions
        The terms of each retention class.
    products
        Entries that give products their class; the first one that fits counts.
    centres
        The nights that centres take, by name; centres that are not named take all.
    placement
        Terms of the placement.

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
            If the file is not valid; the error lists all problems.
        """
        return _default() if path is None else cls(source=Path(path), **read_terms(Path(path)))

    def retention_for(self, metadata: ProductMetadata, category: str = "", *, scope: str = "") -> RetentionClass:
        """Return the retention class of a product.

        Parameters
        ----------
        category
            Its processing category; by default the one in the metadata.
        """
        return next(entry.retention for entry in self.products if entry.fits(metadata, category, scope))

    def retention_of(self, metadata: ProductMetadata, scope: str) -> RetentionClass:
        """Return the retention class of a product, as the plan of an ingest needs it."""
        return self.retention_for(metadata, scope=scope)

    def first_rule(self, block: Did, rse: str) -> FirstRule:
        """Return the first rule of a block, which holds its replicas where they are registered.

        Parameters
        ----------
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
        """Return the terms of a retention class."""
        return self.retentions[retention_class]

    @property
    def onsite_days(self) -> Mapping[RetentionClass, float | None]:
        """Days after which copies on site can be deleted, by retention class; None: never."""
        return {name: terms.onsite_days for name, terms in self.retentions.items()}

    def takes(self, centre: str, night: Night) -> bool:
        """Return whether a centre takes the data of a night."""
        return centre not in self.centres or self.centres[centre].takes(night)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the policy, 64 hexadecimal digits; the layout of the file does not matter."""
        said = attrs.asdict(self, filter=attrs.filters.exclude("source"))
        said["retentions"] = {str(name): attrs.asdict(each) for name, each in self.retentions.items()}
        text = json.dumps(said, sort_keys=True, default=str, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _default() -> Policy:
    return Policy.load(DEFAULT)
