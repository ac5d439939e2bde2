"""Map the user's choice of storage to a retention class."""

from __future__ import annotations

from typing import Literal

from ctao_bdms.errors import UsageError
from ctao_bdms.model import NewProduct, RetentionClass

__all__ = ["KeptFor", "retention_class"]

#: The choice of the user: for a limited time, or for ever.
KeptFor = Literal["short-term", "archive"]
_CLASSES: dict[KeptFor, RetentionClass] = {
    "short-term": RetentionClass.SHORT_TERM,
    "archive": RetentionClass.PERMANENT,
}


def retention_class(kept_for: KeptFor | None, product: NewProduct) -> RetentionClass | None:
    """Return the requested retention class; None if the policy decides.

    Raises
    ------
    UsageError
        If a user's files are to be kept for ever.
    """
    if product.user and kept_for == "archive":
        raise UsageError("what lies in a user's own area is kept for a while only; leave out storage=archive")
    return None if kept_for is None or product.user else _CLASSES[kept_for]
