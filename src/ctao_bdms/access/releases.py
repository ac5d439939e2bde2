"""The latest release that is valid."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.catalogue import Comparison, Condition
from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Release, ValidAt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctao_bdms.catalogue import Find, Query
    from ctao_bdms.model import Value

__all__ = ["latest", "newest"]

_RELEASE = "curation__release"


def newest(releases: Iterable[str]) -> tuple[str, ...]:
    """Return of each collection the newest release: DR10 comes after DR2.

    Examples
    --------
    >>> newest(["DataPipe/Observation/DR10", "DataPipe/Observation/DR2", "CalibPipe/DR1"])
    ('CalibPipe/DR1', 'DataPipe/Observation/DR10')
    """
    last: dict[str, Release] = {}
    others = set()
    for text in releases:
        try:
            release = Release(text)
        except InvalidNameError:
            others.add(text)  # of another archive's making: nothing says what it is a version of
            continue
        last[release.collection] = max(release, last.get(release.collection, release))
    return tuple(sorted({*others, *(str(release) for release in last.values())}))


def latest(catalogue: Find, query: Query, now: dt.datetime) -> Query | None:
    """Return `query`, narrowed to the newest releases among the products that answer it and are valid.

    Of each collection (``DataPipe/Observation`` is that of ``DataPipe/Observation/DR2``) one release is left, so that
    versions never mix. Validity is what ``curation__valid_from`` and ``curation__valid_to`` say; where they say nothing
    there is no bound. Products of no release, such as raw data, do not answer.

    Parameters
    ----------
    catalogue
        The archive; it is asked once for the releases.
    query
        The question.
    now
        When the release must be valid (aware).

    Returns
    -------
    Query or None
        None if no product that answers is of a release that is valid.
    """
    valid = attrs.evolve(query, conditions=(*query.conditions, ValidAt(now.astimezone(dt.UTC))))
    found: tuple[Value, ...] = newest(str(each) for each in catalogue.tally(valid, _RELEASE) if each is not None)
    if not found:
        return None
    return attrs.evolve(valid, conditions=(*valid.conditions, Condition(_RELEASE, Comparison.EQ, found)))
