"""How long what is put into the archive is kept, and how often: pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import RetentionClass

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RETENTIONS", "Retention"]

_DAY_S = 86400


@attrs.frozen(kw_only=True)
class Retention:
    """How the products of a retention class are kept.

    Attributes
    ----------
    copies
        At how many centres.
    lifetime_s
        For how long after their block was opened, in seconds; None if for ever.
    """

    copies: int
    lifetime_s: int | None = None


#: How the products of each class are kept.
RETENTIONS: Mapping[RetentionClass, Retention] = MappingProxyType(
    {
        RetentionClass.PERMANENT: Retention(copies=2),
        RetentionClass.SHORT_TERM: Retention(copies=1, lifetime_s=90 * _DAY_S),
    }
)
