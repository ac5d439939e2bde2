"""Names of files, from names, products or query words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ctao_bdms.errors import UsageError
from ctao_bdms.model import Did, Lfn, Product

__all__ = ["Names", "names_of", "names_to_fetch"]

#: What stands for files: a name, several, or products.
Names = Iterable[Lfn | str | Product] | Lfn | str


def names_of(names: Names) -> list[Lfn]:
    """Return the names as a list of `Lfn`."""
    given = [names] if isinstance(names, Lfn | str) else names
    return [_name_of(each) for each in given]


def names_to_fetch(
    names: Names | None,
    *,
    block: Did | Lfn | str = "",
    directory: Lfn | str = "",
    words: Mapping[str, Any],
    query: Callable[..., Iterable[Product]],
) -> list[Lfn]:
    """Return the names of the files to fetch.

    Parameters
    ----------
    names, block, directory
        The files by name; a block or directory stands for all files in it.
    words
        Words of a query, instead of names.
    query
        Returns the products that match `words`.

    Raises
    ------
    UsageError
        If there are neither names nor words, or both.
    """
    said = [*names_of(() if names is None else names), *names_of([str(each) for each in (directory,) if each])]
    said += names_of([block.name if isinstance(block, Did) else str(block)] if block else [])
    if words and (said or names is not None):
        raise UsageError("give names or words, not both")
    if not words and not said and names is None:
        raise UsageError("say what to fetch: names, a block, a directory, or words as for a query")
    return names_of(query(**words)) if words else said


def _name_of(given: Lfn | str | Product) -> Lfn:
    if isinstance(given, Product):
        return given.lfn
    return given if isinstance(given, Lfn) else Lfn(given)
