"""Convert values from TOML files, environment variables and flags to typed values."""

from __future__ import annotations

import datetime as dt
import difflib
import math
import tomllib
import types
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import InvalidSettingsError
from ctao_bdms.settings.keys import Key, Shape, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["document_of", "from_text", "shown", "take", "unknown"]


def unknown(name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key, with the nearest known one."""
    candidates = sorted(known)
    leaf = name.rpartition(".")[2]
    elsewhere = [key for key in candidates if key.rpartition(".")[2] == leaf]
    near = elsewhere or difflib.get_close_matches(name, candidates, n=1, cutoff=0)
    return f"{name} is unknown; the nearest known one is {near[0]}"


def take(values: dict[str, object], problems: list[str], key: Key, value: object, name: str, base: Path) -> None:
    """Convert a value and store it, or add a problem.

    Parameters
    ----------
    values
        The converted values by dotted key; modified.
    problems
        The messages; modified.
    name
        The name of the key in the file.
    base
        The folder for relative paths.
    """
    try:
        values[key.dotted] = _converted(key, value, base)
    except (ValueError, OverflowError):
        problems.append(f"{name} = {shown(value)} is wrong: expected {key.expected}. {key.about['help']}")


def shown(value: object) -> str:
    """Return a value as written in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return f'"{value}"' if isinstance(value, str) else str(value)
    except ValueError:
        return "a number of thousands of digits"


def from_text(key: Key, text: str) -> object:
    """Parse a text from the environment or a flag; an invalid text is returned unchanged and rejected later."""
    item, shape = shape_of(key.kind)
    if shape is Shape.LIST:
        return [part.strip() for part in text.split(",") if part.strip()]
    if item is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if item in {int, float}:
        try:
            return item(text)
        except ValueError:
            return text
    return text


def _converted(key: Key, value: object, base: Path) -> object:
    """Convert `value` to the type of its key; raise ValueError if it does not fit."""
    item, shape = shape_of(key.kind)
    if shape is Shape.LIST:
        if not isinstance(value, list):
            raise ValueError(key.dotted)
        return tuple(_single(item, each, base) for each in value)
    if value == "" and isinstance(key.kind, types.UnionType):
        return None
    if value == "" and key.required:
        raise ValueError(key.dotted)
    if shape is Shape.TABLE:
        if not isinstance(value, dict):
            raise ValueError(key.dotted)
        return {name: _bounded(key, _single(item, each, base)) for name, each in value.items()}
    return _bounded(key, _single(item, value, base))


def _bounded(key: Key, value: Any) -> Any:  # noqa: ANN401 - of the key's type
    """Return a value within the bounds of its key; raise ValueError if it is outside."""
    least, most = key.about["least"], key.about["most"]
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(key.dotted)
    return value


def _single(item: type, value: object, base: Path) -> Any:  # noqa: ANN401 - of the type `item`
    """Convert one value to `item`; raise ValueError if it does not fit."""
    if item is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if item is float and isinstance(value, float) and math.isfinite(value):
        return value
    if item in {bool, int, dt.date} and type(value) is item:
        return value
    if isinstance(value, str):
        if item is Path and value and "\0" not in value:
            return Path(base, value)
        if issubclass(item, str | Enum):
            return item(value)
    raise ValueError(value)


def document_of(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises
    ------
    InvalidSettingsError
        If it cannot be read, or is not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettingsError(path, [f"the file cannot be read: {error.strerror}"]) from error
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        raise InvalidSettingsError(path, [f"the file is not valid TOML: {error}"]) from error
