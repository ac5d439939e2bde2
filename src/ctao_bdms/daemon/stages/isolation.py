"""Many files at once, and one by one where this software itself fails over one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ctao_bdms.causes import is_unforeseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["isolate_failures"]

_T = TypeVar("_T")


def isolate_failures(do: Callable[[Sequence[_T]], object], items: Sequence[_T]) -> Iterator[tuple[_T, Exception]]:
    """Do something with all items together, by halves where that fails; yield the items over which it fails alone.

    Parameters
    ----------
    do
        What is done. It does all or nothing, and may be called again with the same.
    items
        The items.

    Raises
    ------
    Exception
        What has another reason than the items, such as a full disk.
    """
    try:
        do(items)
    except Exception as error:
        if not is_unforeseen(error):
            raise
        if len(items) == 1:
            yield items[0], error
            return
        middle = len(items) // 2
        yield from isolate_failures(do, items[:middle])
        yield from isolate_failures(do, items[middle:])
