"""How long a product is kept, as the person who puts it says."""

from __future__ import annotations

from typing import Literal

from ctao_bdms.errors import UsageError
from ctao_bdms.model import NewProduct, RetentionClass

__all__ = ["KeptFor", "retention_class"]

#: How long a product is kept: for a while, or for ever.
KeptFor = Literal["short-term", "archive"]
_CLASSES: dict[KeptFor, RetentionClass] = {
    "short-term": RetentionClass.SHORT_TERM,
    "archive": RetentionClass.PERMANENT,
}


def retention_class(kept_for: KeptFor | None, product: NewProduct) -> RetentionClass | None:
    """Return the retention class that is asked for; None if the policy decides, as for all files of users.

    Raises
    ------
    UsageError
        If a user's files are to be kept for ever.
    """
    if product.user and kept_for == "archive":
        raise UsageError("what lies in a user's own area is kept for a while only; leave out storage=archive")
    return None if kept_for is None or product.user else _CLASSES[kept_for]
