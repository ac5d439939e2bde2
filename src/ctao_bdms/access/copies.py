"""The query word ``copies``: the number of centres that hold a copy."""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import ReplicaState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ctao_bdms.catalogue import FileCatalogue
    from ctao_bdms.model import ArchivedFile, Product, Rse

__all__ = ["CopiesCondition", "readable_centres"]

#: How many products one request for their copies is about.
_PAGE = 1000
_TESTS: Mapping[str, Callable[[int, int], bool]] = {
    "": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def readable_centres(file: ArchivedFile, rses: Mapping[str, Rse]) -> frozenset[str]:
    """Return the off-site centres with a readable replica of `file`.

    What lies at a storage element that is lost or shut cannot be read.
    """
    good = (rses[each.rse] for each in file.replicas if each.state is ReplicaState.AVAILABLE and each.rse in rses)
    return frozenset(rse.centre for rse in good if rse.can_be_read) - {""}


@attrs.frozen
class CopiesCondition:
    """A condition on the number of centres that hold a copy.

    Attributes
    ----------
    sign
        How it compares: nothing for "as many as", else ``ne``, ``lt``, ``lte``, ``gt`` or ``gte``.
    number
        With how many.
    """

    sign: str
    number: int

    @classmethod
    def parse(cls, word: str, value: object) -> CopiesCondition:
        """Parse a query word such as ``copies__lt``.

        Raises
        ------
        InvalidMetadataError
            If the comparison does not exist or the value is no number of copies.
        """
        sign = word.removeprefix("copies").removeprefix("__")
        text = str(value)
        if sign not in _TESTS or isinstance(value, bool) or not (text.isascii() and text.isdigit()):
            raise InvalidMetadataError(word, f"{value!r} is no number of copies; write for example copies__lt=2")
        return cls(sign, int(text))

    def filter(self, products: Iterable[Product], lookup: FileCatalogue, rses: Mapping[str, Rse]) -> Iterator[Product]:
        """Yield the products that meet the condition; a page of them costs one request."""
        rest = iter(products)
        while page := list(itertools.islice(rest, _PAGE)):
            known = lookup.files([product.lfn for product in page])
            for product in page:
                copies = len(readable_centres(known[product.lfn], rses)) if product.lfn in known else 0
                if _TESTS[self.sign](copies, self.number):
                    yield product
