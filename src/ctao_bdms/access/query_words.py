"""Query words, such as ``telescope``, and the conditions that they stand for."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.catalogue import Comparison, Condition, SortKey
from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model import METADATA, ArrayElement, Category, Cone, DataLevel, DataType, Night, Site
from ctao_bdms.model.plugin_filters import NAME, SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ctao_bdms.catalogue import Group

__all__ = ["SPECIAL_WORDS", "QUERY_WORDS", "Range", "alternatives", "check_word", "conditions", "orders"]

_T_MIN, _T_MAX = "observation__coverage__time__t_min", "observation__coverage__time__t_max"
#: Maximum number of alternatives of one query.
_MAX_ALTERNATIVES = 100


@attrs.frozen
class Range:
    """The values from `low` to `high`, both included; None where there is no bound.

    Attributes
    ----------
    low, high
        The bounds, as the word takes its values.

    Examples
    --------
    >>> [str(c.comparison) for c in conditions({"obs_id": Range(2000, 2100)})]
    ['gte', 'lte']
    """

    low: object
    high: object

    def __attrs_post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise InvalidMetadataError("range", "give at least one bound")


def _night(value: object) -> object:
    return Night.parse(value) if isinstance(value, str) else value


def _release(value: object) -> object:
    if value == "latest":
        msg = "'latest' is for a whole question, once, and not for one of its alternatives or beside other releases"
        raise ValueError(msg)
    return value


def _as_is(value: object) -> object:
    return value


def _folded(text: str) -> str:
    """Fold letters that people mix up: capitals and small letters, O and 0, I, l and 1."""
    return text.lower().translate(str.maketrans("oil", "011"))


def _member(kind: type[Enum], *, closed: bool = True) -> Callable[[object], object]:
    """Return a reader for values of `kind`; if it is not closed, it accepts others that resemble none."""
    known = [str(member.value) for member in kind]

    def read(value: object) -> object:
        text = str(value.value if isinstance(value, Enum) else value)
        if text in known or "*" in text:
            return text
        folded = {_folded(each): each for each in known}
        near = difflib.get_close_matches(_folded(text), folded, n=1, cutoff=0.5 if closed else 0.8)
        if not near and not closed:
            return text
        hint = f"did you mean {folded[near[0]]!r}?" if near else f"known are {', '.join(known)}"
        msg = f"there is no {text!r}; {hint}"
        raise ValueError(msg)

    return read


#: Each word: the metadata key that it stands for, and how its value is read.
QUERY_WORDS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "level": ("data__level", _member(DataLevel)),
    "kind": ("data__type", _member(DataType, closed=False)),
    "category": ("instance__category", _member(Category)),
    "night": ("instance__observing_night", _night),
    "site": ("instance__site_id", _member(Site)),
    "telescope": ("instance__ae_id", lambda value: ArrayElement.of(value).id),
    "subarray": ("instance__subarray_id", _as_is),
    "obs_id": ("instance__obs_id", _as_is),
    "sb_id": ("acquisition__sb_id", _as_is),
    "target": ("instance__target_id", _as_is),
    "release": ("curation__release", _release),
    "start_time": (_T_MIN, _as_is),
    "end_time": (_T_MAX, _as_is),
}

#: The words that stand for more than one key: what they ask.
SPECIAL_WORDS: Mapping[str, str] = {
    "time": "data in an interval: begin included, end not; either may be left out",
    "near": "pointing within a radius of a place of the sky: right ascension, declination, radius in degrees",
    "copies": "number of centres off site that hold a copy that can be read",
    "latest": "of each collection of releases, only the newest that is valid now; also written `release=latest`",
}


def conditions(words: Mapping[str, object]) -> Group:
    """Return the conditions that `words` stand for, all of which must hold.

    Parameters
    ----------
    words
        Values by word. A word of `QUERY_WORDS` or a key of the metadata table; either may end in ``__lt``, ``__lte``,
        ``__gt``, ``__gte`` or ``__ne``. A list means any of its values, with ``__ne`` none of them; a `Range` means
        what lies in it. In a text, ``*`` stands for any characters. ``time=(begin, end)`` finds products that have data
        in that interval; begin is included, end is not, and either may be None. ``near=(ra, dec, radius)``, in degrees,
        finds products whose pointing lies in that cone.

    Raises
    ------
    InvalidMetadataError
        If a word does not exist or a value does not fit it (the error names the nearest), or if ranges stand in a list
        with other values: see `alternatives`.

    Examples
    --------
    >>> [str(c.values[0]) for c in conditions({"level": "DL0", "telescope": "LSTN-02"})]
    ['DL0', '2']
    """
    found = alternatives(words)
    if len(found) != 1:
        raise InvalidMetadataError(next(iter(words), ""), "a list that holds ranges stands for several questions")
    return found[0]


def alternatives(words: Mapping[str, object]) -> tuple[Group, ...]:
    """Return the groups of conditions that `words` stand for: all of one group must hold; see `conditions`.

    There is one, unless ranges stand in a list.

    Raises
    ------
    InvalidMetadataError
        If a word does not exist or a value does not fit it.
    """
    given = {word: value for word, value in words.items() if value is not None}
    options = [list(_options(word, value)) for word, value in given.items()]
    found = tuple(tuple(itertools.chain(*choice)) for choice in itertools.product(*options))
    if len(found) > _MAX_ALTERNATIVES:
        raise InvalidMetadataError(next(iter(given)), f"{len(found)} alternatives are more than {_MAX_ALTERNATIVES}")
    return found


def _options(word: str, value: object) -> Iterator[Group]:
    """Yield the alternatives of one word."""
    if word == "time":
        yield tuple(_interval(value))
    elif word == "near":
        yield (_cone(value),)
    else:
        key, comparison, read = _key(word)
        values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
        ranges = [each for each in values if isinstance(each, Range)]
        if ranges and comparison is not Comparison.EQ:
            raise InvalidMetadataError(word, "a range takes no comparison")
        single = [_read(word, read, each) for each in values if not isinstance(each, Range)]
        if single or not ranges:
            yield (Condition(key, comparison, tuple(single)),)  # type: ignore[arg-type]
        for each in ranges:
            bounds = ((Comparison.GTE, each.low), (Comparison.LTE, each.high))
            yield tuple(
                Condition(key, sign, (_read(word, read, bound),))  # type: ignore[arg-type]
                for sign, bound in bounds
                if bound is not None
            )


def _read(word: str, read: Callable[[object], object], value: object) -> object:
    """Return a value as its word reads it."""
    try:
        return read(value)
    except (TypeError, ValueError) as error:
        raise InvalidMetadataError(word, str(error)) from error


def _key(word: str) -> tuple[str, Comparison, Callable[[object], object]]:
    """Return key, comparison and reader of a word."""
    if word in QUERY_WORDS:
        key, read = QUERY_WORDS[word]
        return key, Comparison.EQ, read
    stem, _, suffix = word.rpartition("__")
    if suffix in set(Comparison) and (stem in METADATA or stem in QUERY_WORDS):
        key, _, read = _key(stem)
        return key, Comparison(suffix), read
    if word in METADATA:
        return word, Comparison.EQ, _as_is
    check_word(word)
    raise InvalidMetadataError(word, "this word is for a whole question, once, and not for one of its alternatives")


def check_word(word: str) -> None:
    """Check that a query word exists, with or without a comparison at its end.

    Raises
    ------
    InvalidMetadataError
        If it does not; the error names the nearest word, and all short ones.
    """
    stem, _, suffix = word.rpartition("__")
    plain = stem if stem and suffix in set(Comparison) else word
    if plain not in {*QUERY_WORDS, *SPECIAL_WORDS, *METADATA}:
        raise _unknown(word, plain, [*QUERY_WORDS, *SPECIAL_WORDS, *METADATA], [*QUERY_WORDS, *SPECIAL_WORDS])


def _unknown(word: str, near_to: str, known: Iterable[str], short: Iterable[str]) -> InvalidMetadataError:
    """Return the error for an unknown word, with the nearest word and all known ones."""
    near = difflib.get_close_matches(near_to, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InvalidMetadataError(
        word, f"no such word; {hint}known are {', '.join(short)}, and the keys of the metadata table"
    )


def _interval(value: object) -> Iterator[Condition]:
    """Yield the conditions for data in an interval of time."""
    if isinstance(value, Range):
        value = (value.low, value.high)
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InvalidMetadataError("time", "give begin and end, either of which may be None")
    begin, end = value
    if begin is not None:
        yield Condition(_T_MAX, Comparison.GTE, (begin,))
    if end is not None:
        yield Condition(_T_MIN, Comparison.LT, (end,))


def _cone(value: object) -> Cone:
    """Return the cone of three numbers in degrees."""
    try:
        ra, dec, radius = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
        return Cone(ra, dec, radius)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidMetadataError):
            raise
        raise InvalidMetadataError(
            "near", "give right ascension, declination and radius in degrees, as in (83.63, 22.01, 2)"
        ) from error


def orders(sort: str | Iterable[str]) -> tuple[SortKey, ...]:
    """Parse sort keys: words or keys, ``lfn`` or ``size``; with ``-`` in front, the greatest first.

    Raises
    ------
    InvalidMetadataError
        If there is no such word; the error names the nearest.

    Examples
    --------
    >>> orders("-start_time")
    (SortKey(key='observation__coverage__time__t_min', descending=True),)
    """
    own = {
        "lfn": NAME,
        "size": SIZE,
        **{word: key for word, (key, _) in QUERY_WORDS.items()},
        **{key: key for key in METADATA},
    }
    found = []
    for text in [sort] if isinstance(sort, str) else sort:
        word = text.removeprefix("-")
        if word not in own:
            raise _unknown(word, word, own, ["lfn", "size", *QUERY_WORDS])
        found.append(SortKey(own[word], descending=text.startswith("-")))
    return tuple(found)
