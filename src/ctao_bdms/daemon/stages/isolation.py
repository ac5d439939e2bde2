"""Process many files at once, and isolate those that fail unexpectedly."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ctao_bdms.causes import is_unforeseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["isolate_failures"]

_T = TypeVar("_T")


def isolate_failures(do: Callable[[Sequence[_T]], object], items: Sequence[_T]) -> Iterator[tuple[_T, Exception]]:
    """Call `do` with all items, by halves on failure; yield those that fail alone.

    Parameters
    ----------
    do
        Processes all items or none, and may be called again with the same items.

    Raises
    ------
    Exception
        If `do` fails for a reason that no single item causes, such as a full disk.
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
