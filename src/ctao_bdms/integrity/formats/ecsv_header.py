"""Parse the header of ECSV safely.

Source: the Enhanced Character Separated Values format 1.0 (Astropy Proposal for Enhancement 6).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

import attrs
import yaml

__all__ = ["EcsvHeader", "parse_header"]

_INTEGERS = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
_FLOATS = {"float16", "float32", "float64", "float128"}
_OTHERS = {"bool", "string", "complex64", "complex128", "complex256"}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Loads plain values only: ignores astropy's tags, and rejects merge keys.

    Merge keys can make a small text grow exponentially.
    """

    def flatten_mapping(self, node: yaml.Node) -> None:
        """Do nothing."""

    def _plain(self, _suffix: str, node: yaml.Node) -> object:
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node)
        return self.construct_scalar(node)


_Loader.add_multi_constructor("!", _Loader._plain)
_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _Loader._plain)


@attrs.frozen(kw_only=True)
class EcsvHeader:
    """The declarations in the header.

    Attributes
    ----------
    columns
        A parser for each column, by name; None if every text is valid.
    delimiter
        The delimiter: a space or a comma.
    meta
        The metadata that are single values, by name; times as text, those in ``CTAO`` joined by dots.
    """

    columns: tuple[tuple[str, Callable[[str], object] | None], ...]
    delimiter: str
    meta: Mapping[str, object]


def parse_header(text: str) -> EcsvHeader | str:
    """Parse the header.

    Parameters
    ----------
    text
        The YAML, without the ``#`` of its lines.

    Returns
    -------
    EcsvHeader or str
        The header; or what is wrong with it, as the end of a sentence.
    """
    try:
        document = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        return f"is not valid YAML: {' '.join(ascii(str(error))[1:-1].split())[:200]}"
    except (ValueError, TypeError, OverflowError, RecursionError, AttributeError, LookupError) as error:
        return f"cannot be read: {type(error).__name__}"
    if not isinstance(document, dict):
        return "is not a mapping"
    delimiter = document.get("delimiter", " ")
    if delimiter not in (" ", ","):
        return "declares a delimiter that is neither space nor comma"
    declared = document.get("datatype")
    if not isinstance(declared, list) or not declared:
        return "declares no columns"
    columns: dict[str, Callable[[str], object] | None] = {}
    for column in declared:
        name, kind = (column.get("name"), column.get("datatype")) if isinstance(column, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(kind, str) or name in columns:
            return "declares a column without a name of its own and a datatype"
        if kind not in _INTEGERS | _FLOATS | _OTHERS:
            return f"declares column {name!a} with datatype {kind!a}, which does not exist"
        columns[name] = int if kind in _INTEGERS else float if kind in _FLOATS else _truth if kind == "bool" else None
    return EcsvHeader(columns=tuple(columns.items()), delimiter=delimiter, meta=_meta(document.get("meta")))


def _truth(text: str) -> bool:
    """Parse a boolean."""
    return {"True": True, "False": False}[text]


def _meta(found: object) -> dict[str, object]:
    """Return the metadata that are single values; an ordered mapping is a list of pairs."""
    if isinstance(found, list):
        found = dict(pair for pair in found if isinstance(pair, tuple) and isinstance(pair[0], str))
    if not isinstance(found, dict):
        return {}
    flat: dict[str, object] = {}
    waiting = [(str(name), value) for name, value in found.items()]
    for name, value in waiting:
        if isinstance(value, dict) and name.partition(".")[0] == "CTAO" and name.count(".") < 4:
            waiting += [(f"{name}.{word}", inner) for word, inner in value.items()]
        else:
            flat[name] = value.isoformat() if isinstance(value, dt.date) else value
    return flat
