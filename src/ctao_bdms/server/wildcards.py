"""``*`` (or ``%``) in a text stands for any characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import ColumnElement

__all__ = ["like", "matches_all"]


def matches_all(value: str) -> bool:
    """Return whether `value` is nothing but wildcards: as in Rucio, it then asks for nothing."""
    return set(value) <= {"*", "%"}


def like(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Return whether a text looks like `value`; the backslash is what PostgreSQL escapes with by itself."""
    return column.like(value.replace("\\", "\\\\").replace("_", r"\_").replace("*", "%"))
