"""The words in which people ask for products, and the conditions that they stand for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ctao_bdms.catalogue import Comparison, Condition
from ctao_bdms.errors import InvalidMetadataError, UsageError
from ctao_bdms.model import METADATA, ArrayElement, DataLevel, Night, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["WORDS", "conditions", "parse_words"]

_T_MIN, _T_MAX = "observation__coverage__time__t_min", "observation__coverage__time__t_max"


def _telescope(value: object) -> int:
    if isinstance(value, ArrayElement):
        return value.id
    text = str(value)
    return ArrayElement(int(text)).id if text.isdigit() else ArrayElement.parse(text).id


def _night(value: object) -> object:
    return Night.parse(value) if isinstance(value, str) else value


def _as_is(value: object) -> object:
    return value


#: Each word: the metadata key that it stands for, and how its value is read.
WORDS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "level": ("data__level", lambda value: str(DataLevel(value) if isinstance(value, str) else value)),
    "kind": ("data__type", str),
    "night": ("instance__observing_night", _night),
    "site": ("instance__site_id", lambda value: str(Site(str(value)))),
    "telescope": ("instance__ae_id", _telescope),
    "subarray": ("instance__subarray_id", _as_is),
    "obs_id": ("instance__obs_id", _as_is),
    "sb_id": ("acquisition__sb_id", _as_is),
    "release": ("curation__release", _as_is),
}


def conditions(words: Mapping[str, object]) -> tuple[Condition, ...]:
    """Return the conditions that `words` stand for.

    Parameters
    ----------
    words
        Values by word. A word of `WORDS` or a key of the metadata table; either may end in ``__lt``, ``__lte``,
        ``__gt``, ``__gte`` or ``__ne``. A list means any of its values. ``time=(begin, end)`` finds products that have
        data in that interval; begin is included, end is not, and either may be None.

    Raises
    ------
    InvalidMetadataError
        If a word does not exist (the error names the nearest) or a value does not fit it.

    Examples
    --------
    >>> [str(c.values[0]) for c in conditions({"level": "DL0", "telescope": "LSTN-02"})]
    ['DL0', '2']
    """
    given = {word: value for word, value in words.items() if value is not None}
    return tuple(condition for word, value in given.items() for condition in _conditions(word, value))


def _conditions(word: str, value: object) -> Iterator[Condition]:
    """Yield what one word stands for."""
    if word == "time":
        yield from _interval(value)
        return
    key, comparison, read = _key(word)
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    try:
        read_values = tuple(read(each) for each in values)
    except (TypeError, ValueError) as error:
        raise InvalidMetadataError(word, str(error)) from error
    yield Condition(key, comparison, read_values)  # type: ignore[arg-type]


def _key(word: str) -> tuple[str, Comparison, Callable[[object], object]]:
    """Return the key, the comparison and the reader that a word stands for."""
    if word in WORDS:
        key, read = WORDS[word]
        return key, Comparison.EQ, read
    stem, _, suffix = word.rpartition("__")
    if suffix in set(Comparison) and (stem in METADATA or stem in WORDS):
        key, _, read = _key(stem)
        return key, Comparison(suffix), read
    if word in METADATA:
        return word, Comparison.EQ, _as_is
    near = difflib.get_close_matches(word, [*WORDS, "time", *METADATA], n=1, cutoff=0.5)
    raise InvalidMetadataError(word, "no such word" + (f"; did you mean {near[0]!r}?" if near else ""))


def _interval(value: object) -> Iterator[Condition]:
    """Yield the conditions for data in an interval of time."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InvalidMetadataError("time", "give begin and end, either of which may be None")
    begin, end = value
    if begin is not None:
        yield Condition(_T_MAX, Comparison.GTE, (begin,))
    if end is not None:
        yield Condition(_T_MIN, Comparison.LT, (end,))


_WORD = re.compile(r"(?P<word>[a-z][a-z0-9_]*)(?P<sign><=|>=|!=|=|<|>)(?P<value>.*)", re.DOTALL)
_SIGNS = {"=": "", "!=": "__ne", "<": "__lt", "<=": "__lte", ">": "__gt", ">=": "__gte"}


def parse_words(texts: Iterable[str]) -> dict[str, Any]:
    """Return the words of a command line, as in ``level=DL0 telescope=LSTN-01,LSTN-02``.

    Commas separate alternatives; ``=``, ``!=``, ``<``, ``<=``, ``>`` and ``>=`` compare; an interval of time is written
    ``time=begin/end``, as in ``time=2026-11-21T22:00/2026-11-21T23:00``, and either may be left out.

    Raises
    ------
    UsageError
        If a text is not of this form, or a word comes twice.
    """
    words: dict[str, Any] = {}
    for text in texts:
        match = _WORD.fullmatch(text)
        if match is None or not match["value"]:
            raise UsageError(f"{text!r} is no condition; write word=value, as in level=DL0 or telescope=LSTN-01")
        word, value = match["word"] + _SIGNS[match["sign"]], match["value"]
        if word in words:
            raise UsageError(f"{word!r} comes twice; write alternatives as {match['word']}=a,b")
        if word == "time":
            begin, slash, end = value.partition("/")
            if not slash:
                raise UsageError(f"{text!r} is no interval; write time=begin/end, either of which may be left out")
            words[word] = (begin or None, end or None)
        else:
            words[word] = value.split(",") if "," in value else value
    return words
