"""Wildcards: ``*`` (or ``%``) in a text matches any characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import ColumnElement

__all__ = ["like", "matches_all"]


def matches_all(value: str) -> bool:
    """Return whether `value` consists of wildcards only; as in Rucio, it is then no condition."""
    return set(value) <= {"*", "%"}


def like(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Return the condition that a text matches `value`; a backslash is PostgreSQL's default escape character."""
    return column.like(value.replace("\\", "\\\\").replace("_", r"\_").replace("*", "%"))
