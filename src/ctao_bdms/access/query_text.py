"""Parse a query from the words of a command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ctao_bdms.access.query_words import Range, check_word
from ctao_bdms.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["parse_query"]

_WORD = re.compile(r"(?P<word>[a-z][a-z0-9_]*)(?P<sign><=|>=|!=|=|<|>)(?P<value>.*)", re.DOTALL)
_SIGNS = {"=": "", "!=": "__ne", "<": "__lt", "<=": "__lte", ">": "__gt", ">=": "__gte"}
_OR = "or"


def parse_query(texts: Iterable[str]) -> dict[str, Any]:
    """Parse the words of a command line, as in ``level=DL0 telescope=LSTN-01,LSTN-02``, as `Bdms.query` takes them.

    Commas separate alternatives, and with ``!=`` none of them may be; ``a..b`` is a range, either end of which may be
    left out; ``=``, ``!=``, ``<``, ``<=``, ``>`` and ``>=`` compare. An interval of time is written ``time=begin/end``,
    as in ``time=2026-11-21T22:00/2026-11-21T23:00``, and either may be left out; a place of the sky is
    ``near=ra,dec,radius`` in degrees. ``or`` as a word of its own separates questions, of which one must be answered;
    it binds less than words that stand side by side.

    Raises
    ------
    UsageError
        If a text is not of this form, or a word comes twice.
    InvalidMetadataError
        If there is no such word. The words become names of arguments: only those that mean metadata may.

    Examples
    --------
    >>> parse_query(["level=DL0", "or", "level=DL1", "obs_id=7"])
    {'any_of': [{'level': 'DL0'}, {'level': 'DL1', 'obs_id': '7'}]}
    """
    groups: list[list[str]] = [[]]
    for text in texts:
        if text == _OR:
            groups.append([])
        else:
            groups[-1].append(text)
    if len(groups) == 1:
        return _group(groups[0])
    if not all(groups):
        raise UsageError(f"{_OR!r} stands between conditions, as in level=DL0 or level=DL1")
    return {"any_of": [_group(group) for group in groups]}


def _group(texts: Iterable[str]) -> dict[str, Any]:
    """Return the words of one alternative."""
    words: dict[str, Any] = {}
    for text in texts:
        match = _WORD.fullmatch(text)
        if match is None or not match["value"]:
            raise UsageError(f"{text!r} is no condition; write word=value, as in level=DL0 or telescope=LSTN-01")
        word, value = match["word"] + _SIGNS[match["sign"]], _value(text, match["word"], match["value"])
        check_word(word)
        if word in words and match["sign"] == "!=":
            value = [each for part in (words[word], value) for each in (part if isinstance(part, list) else [part])]
        elif word in words:
            raise UsageError(f"{word!r} comes twice; write alternatives as {match['word']}=a,b")
        words[word] = value
    return words


def _value(text: str, word: str, value: str) -> object:
    """Return the value of one word."""
    if word == "time":
        begin, slash, end = value.partition("/" if "/" in value else "..")
        if not slash:
            raise UsageError(f"{text!r} is no interval; write time=begin/end, either of which may be left out")
        return begin or None, end or None
    if word == "latest":
        if value not in {"true", "false"}:
            raise UsageError(f"{text!r}: write latest=true or latest=false")
        return value == "true"
    values = [_range(each) for each in value.split(",")]
    return values if "," in value else values[0]


def _range(text: str) -> object:
    """Return a range if `text` is one, else the text."""
    low, dots, high = text.partition("..")
    return Range(low or None, high or None) if dots and (low or high) else text
