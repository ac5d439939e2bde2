"""Settings as fields of attrs classes, with their type, bounds and help."""

from __future__ import annotations

import datetime as dt
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Key", "Shape", "keys_of", "setting", "shape_of", "toml"]

_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    dt.date: "a date, YYYY-MM-DD",
}


class Shape(Enum):
    """Whether a setting is one value, a list or a table."""

    ONE = "one"
    LIST = "list"
    TABLE = "table"


def setting(
    help: str,
    default: object = attrs.NOTHING,
    *,
    least: float | None = None,
    most: float | None = None,
    example: object = None,
    reload: bool = False,
) -> Any:  # noqa: ANN401 - the class gives the type
    """Return a field for a setting; without a default the setting is required.

    Parameters
    ----------
    help
        The meaning, a sentence.
    least, most
        The bounds of a number, or of each number of a table.
    example
        The value in an example file if there is no default.
    reload
        Whether a running process can reload it.
    """
    about = {"help": help, "least": least, "most": most, "example": example, "reload": reload}
    return attrs.field(default=default, metadata=about)


@attrs.frozen
class Key:
    """One setting.

    Attributes
    ----------
    section, name
        Its table and key in the TOML file.
    default
        Its default; `attrs.NOTHING` if it is required.
    about
        Its metadata: ``help``, ``least``, ``most``, ``example``, ``reload``.
    prefix
        The prefix of its environment variable.
    """

    section: str
    name: str
    kind: Any
    default: Any
    about: Mapping[str, Any] = attrs.field(eq=False)
    prefix: str = ""

    @property
    def dotted(self) -> str:
        """The full name: ``section.name``."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return f"{self.prefix}{self.section}_{self.name}".upper()

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is attrs.NOTHING

    @property
    def expected(self) -> str:
        """A description of the valid values."""
        item, shape = shape_of(self.kind)
        if issubclass(item, Enum):
            among = ", ".join(str(member.value) for member in item)
            return f"a list of some of {among}" if shape is Shape.LIST else f"one of {among}"
        if shape is Shape.LIST:
            return f"a list of {_WORDS[item].removeprefix('a ')}s"
        least, most = self.about["least"], self.about["most"]
        bounds = [f"at least {least:,}" if least is not None else "", f"at most {most:,}" if most is not None else ""]
        word = f"a table of {_WORDS[item].removeprefix('a ')}s" if shape is Shape.TABLE else _WORDS[item]
        return ", ".join(filter(None, (word, " and ".join(filter(None, bounds)))))


def keys_of(kind: Any, section: str, prefix: str = "") -> Iterator[Key]:  # noqa: ANN401 - a class of settings
    """Yield the settings of a class, in the order of its fields."""
    for field in attrs.fields(attrs.resolve_types(kind)):
        yield Key(section, field.name, field.type, field.default, field.metadata, prefix)


def shape_of(kind: Any) -> tuple[type, Shape]:  # noqa: ANN401 - an annotation
    """Return the type of an annotation (for a list or table, that of its items) and its shape."""
    if isinstance(kind, types.UnionType):
        return shape_of(typing.get_args(kind)[0])
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return arguments[0], Shape.LIST
    if origin is Mapping:
        return arguments[1], Shape.TABLE
    return kind, Shape.ONE


def toml(value: object) -> str:
    """Return a value in TOML syntax."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Enum | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, int):
        return f"{value:_}" if value >= 100_000 else str(value)
    return value.isoformat() if isinstance(value, dt.date) else repr(value)
