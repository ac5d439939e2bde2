"""A policy as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.model import RetentionClass
from ctao_bdms.replication.terms import CentreTerms, ProductEntry, Retention
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from ctao_bdms.replication.policy import Policy

__all__ = ["CentreRow", "CentreRows", "ProductRow", "ProductRows", "RetentionRow", "RetentionRows"]

_DAY_S = 86_400


@attrs.frozen(kw_only=True)
class RetentionRow:
    """A retention class, in words.

    Attributes
    ----------
    name, terms
        The class, and what the policy says of it.
    """

    name: RetentionClass
    terms: Retention

    @property
    def copies(self) -> str:
        """How many copies, and on what."""
        return f"{self.terms.copies}, one on tape" if self.terms.tape else str(self.terms.copies)

    @property
    def centres(self) -> str:
        """Which centres."""
        if self.terms.centres is None:
            said = "by their stated shares"
        else:
            said = ", ".join(f"{centre} {share:g}" for centre, share in self.terms.centres.items())
        return f"{', '.join(self.terms.order)} first; then {said}" if self.terms.order else said

    @property
    def lifetime(self) -> str:
        """How long."""
        return "for ever" if self.terms.lifetime_s is None else f"{self.terms.lifetime_s / _DAY_S:g} days"

    @property
    def onsite(self) -> str:
        """How long on site, from the opening of the block."""
        return self.lifetime if self.terms.onsite_days is None else f"{self.terms.onsite_days:g} days"

    @property
    def transfers(self) -> str:
        """What its transfers are for, and how urgent."""
        return f"{self.terms.activity}, priority {self.terms.priority}"

    @property
    def quota(self) -> str:
        """The most that an account may keep."""
        return "" if self.terms.quota_bytes is None else f"{self.terms.quota_bytes / 1e12:g} TB"


class RetentionRows(Rows[RetentionRow]):
    """The retention classes of a policy."""

    columns: ClassVar = (
        ("class", "name"),
        ("copies", "copies"),
        ("centres", "centres"),
        ("kept", "lifetime"),
        ("on site", "onsite"),
        ("transfers", "transfers"),
        ("quota", "quota"),
    )

    @classmethod
    def of(cls, policy: Policy) -> RetentionRows:
        """Return the retention classes of a policy."""
        return cls(RetentionRow(name=name, terms=terms) for name, terms in policy.retentions.items())


@attrs.frozen(kw_only=True)
class ProductRow:
    """Which products belong to a retention class, in words.

    Attributes
    ----------
    place
        The place of the entry, from 1 on.
    entry
        What the policy says.
    """

    place: int
    entry: ProductEntry

    @property
    def products(self) -> str:
        """Which products."""
        said = [
            f"{field.name} {', '.join(str(each) for each in getattr(self.entry, field.name))}"
            for field in attrs.fields(ProductEntry)
            if field.name != "retention" and getattr(self.entry, field.name)
        ]
        return "; ".join(said) or "all others"

    @property
    def retention(self) -> RetentionClass:
        """Their retention class."""
        return self.entry.retention


class ProductRows(Rows[ProductRow]):
    """The entries of a policy, in the order in which they are tried."""

    columns: ClassVar = (("entry", "place"), ("products", "products"), ("class", "retention"))

    @classmethod
    def of(cls, policy: Policy) -> ProductRows:
        """Return the entries of a policy."""
        return cls(ProductRow(place=place, entry=entry) for place, entry in enumerate(policy.products, 1))


@attrs.frozen(kw_only=True)
class CentreRow:
    """Which nights a centre takes.

    Attributes
    ----------
    centre, terms
        The centre, and what the policy says of it.
    """

    centre: str
    terms: CentreTerms

    @property
    def nights(self) -> str:
        """The nights."""
        said = [f"from {self.terms.first_night}"] if self.terms.first_night else []
        said += [f"to {self.terms.last_night}"] if self.terms.last_night else []
        return " ".join(said) or "all"


class CentreRows(Rows[CentreRow]):
    """Which nights centres take."""

    columns: ClassVar = (("centre", "centre"), ("new nights", "nights"))

    @classmethod
    def of(cls, policy: Policy) -> CentreRows:
        """Return which nights the centres of a policy take."""
        return cls(CentreRow(centre=centre, terms=terms) for centre, terms in policy.centres.items())
