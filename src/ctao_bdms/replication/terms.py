"""Terms of a policy: retention classes, products, centres and placement."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Mapping

import attrs

from ctao_bdms.model import Category, DataDivision, DataLevel, Night, ProductMetadata, RetentionClass, Site
from ctao_bdms.settings import setting

__all__ = ["CentreTerms", "PlacementTerms", "ProductEntry", "Retention"]


@attrs.frozen(kw_only=True)
class Retention:
    """Terms of a retention class."""

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
        """Lifetime of copies; None if for ever."""
        return None if self.lifetime_s is None else dt.timedelta(seconds=self.lifetime_s)


@attrs.frozen(kw_only=True)
class ProductEntry:
    """Products of a retention class: all conditions must hold, and the first entry that fits counts."""

    retention: RetentionClass = setting("The retention class.", example="permanent")
    levels: tuple[DataLevel, ...] = setting("Data levels; empty: any.", ())
    categories: tuple[Category, ...] = setting("Processing categories; empty: any.", ())
    sites: tuple[Site, ...] = setting("Sites; empty: any.", ())
    divisions: tuple[DataDivision, ...] = setting("Divisions; empty: any.", ())
    kinds: tuple[str, ...] = setting("Kinds of product, as `data__type` has them; empty: any.", ())
    scopes: tuple[str, ...] = setting("Scopes, with `*`; empty: any.", ())

    def fits(self, metadata: ProductMetadata, category: str, scope: str) -> bool:
        """Return whether all conditions hold for a product."""
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
    """The nights that a centre takes; it keeps the data that it has already."""

    first_night: dt.date | None = setting("The first night that it takes; empty: all.", None)
    last_night: dt.date | None = setting("The last night that it takes; empty: all.", None)

    def takes(self, night: Night) -> bool:
        """Return whether the centre takes the data of `night`."""
        early = self.first_night is not None and night.date < self.first_night
        late = self.last_night is not None and night.date > self.last_night
        return not early and not late


@attrs.frozen(kw_only=True)
class PlacementTerms:
    """Terms of the placement."""

    keep_free_bytes: int = setting(
        "Free space below which a centre counts as full, where it says its free space.", 0, least=0
    )
