"""Finding products."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctao_bdms.access.words import conditions
from ctao_bdms.catalogue import Query
from ctao_bdms.model import Product
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.catalogue import Find

__all__ = ["Products", "query"]


class Products(Rows[Product]):
    """Products that answer a question, one row each; all that is known of one stands in its ``metadata``."""

    columns: ClassVar = (
        ("level", "level"),
        ("night", "night"),
        ("telescope", "telescope"),
        ("obs_id", "obs_id"),
        ("start", "start"),
        ("bytes", "size_bytes"),
        ("lfn", "lfn"),
    )


def query(catalogue: Find, scopes: Iterable[str], words: Mapping[str, object], limit: int | None = None) -> Products:
    """Return the products that answer a question.

    Parameters
    ----------
    catalogue
        The archive.
    scopes
        Where to look.
    words
        What to look for; see `ctao_bdms.access.conditions`.
    limit
        The most products to return.
    """
    return Products(catalogue.find(Query(scopes=tuple(scopes), conditions=conditions(words), limit=limit)))
