"""What lies in containers and datasets, at any depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio.db.sqla.models import DataIdentifierAssociation
from sqlalchemy import and_, select

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import CTE, Select

__all__ = ["content_of"]


def content_of(collections: Select[Any]) -> CTE:
    """Return scope and name of `collections`, a question that yields these two, and of everything in them."""
    link = DataIdentifierAssociation.__table__
    found = collections.cte("content", recursive=True)
    below = select(link.c.child_scope, link.c.child_name).join(
        found, and_(link.c.scope == found.c.scope, link.c.name == found.c.name)
    )
    return found.union(below)
