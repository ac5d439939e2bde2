"""From file, environment and flags to settings: everything that is wrong is found, and said at once."""

from __future__ import annotations

import difflib
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms.daemon.consistency import contradictions
from ctao_bdms.daemon.settings import Settings
from ctao_bdms.errors import InvalidSettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ENVIRONMENT_PREFIX", "Key", "keys", "settings_from"]

#: What the environment variables of settings begin with: ``BDMS_INGESTD_<SECTION>_<KEY>``.
ENVIRONMENT_PREFIX = "BDMS_INGESTD_"


@attrs.frozen
class Key:
    """One setting.

    Attributes
    ----------
    section, name
        Where it stands in the file.
    kind
        Its type.
    default
        Its default; `attrs.NOTHING` if it is required.
    about
        Its metadata: ``help``, ``least``, ``most``, ``example``, ``reload``.
    """

    section: str
    name: str
    kind: Any
    default: Any
    about: Mapping[str, Any] = attrs.field(eq=False)

    @property
    def dotted(self) -> str:
        """How it is called: ``section.name``."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"{ENVIRONMENT_PREFIX}{self.section}_{self.name}".upper()

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is attrs.NOTHING

    @property
    def expected(self) -> str:
        """What its value must be, in words."""
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
        item, is_list = _item(self.kind)
        if is_list:
            return f"a list of {words[item].removeprefix('a ')}s"
        if issubclass(item, StrEnum):
            return "one of " + ", ".join(item)
        least, most = self.about["least"], self.about["most"]
        bounds = [f"at least {least:,}" if least is not None else "", f"at most {most:,}" if most is not None else ""]
        return ", ".join(filter(None, (words[item], " and ".join(filter(None, bounds)))))


def keys() -> Iterator[Key]:
    """Yield all settings, in the order of the file."""
    for section in attrs.fields(attrs.resolve_types(Settings)):
        kind: Any = section.type
        for field in attrs.fields(attrs.resolve_types(kind)):
            yield Key(section.name, field.name, field.type, field.default, field.metadata)


def settings_from(
    path: Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings: defaults, then the file, then the environment, then flags; the later ones win.

    Parameters
    ----------
    path
        A TOML file; paths in it are relative to its folder.
    environ
        Environment variables; those that begin with ``BDMS_INGESTD_`` count. Lists are separated by commas.
    flags
        Texts by dotted key, ``{"workers.number": "8"}``, written as in the environment.

    Raises
    ------
    InvalidSettingsError
        If anything is wrong; it says all of it.
    """
    known = {key.dotted: key for key in keys()}
    problems: list[str] = []
    values: dict[str, object] = {}
    if path is not None:
        for dotted, value in _of_file(path, known, problems):
            _take(values, problems, known[dotted], value, dotted, path.absolute().parent)
    variables = {key.variable: key for key in known.values()}
    for name, text in sorted((environ or {}).items()):
        if name in variables:
            _take(values, problems, variables[name], _from_text(variables[name], text), name, Path.cwd())
        elif name.startswith(ENVIRONMENT_PREFIX):
            problems.append(_unknown(name, variables))
    for dotted, text in (flags or {}).items():
        if dotted in known:
            _take(values, problems, known[dotted], _from_text(known[dotted], text), dotted, Path.cwd())
        else:
            problems.append(_unknown(dotted, known))
    problems += [
        f"{key.dotted} is missing: {key.about['help']}"
        for key in known.values()
        if key.required and key.dotted not in values and not any(_is_about(p, key) for p in problems)
    ]
    if problems:
        raise InvalidSettingsError(path, problems)
    settings = _built(values)
    if said := contradictions(settings):
        raise InvalidSettingsError(path, said)
    return settings


def _is_about(problem: str, key: Key) -> bool:
    return problem.startswith((f"{key.dotted} =", f"{key.variable} ="))


def _built(values: Mapping[str, object]) -> Settings:
    """Return the settings with these values by dotted key."""
    sections: dict[str, Any] = {}
    for section in attrs.fields(attrs.resolve_types(Settings)):
        kind: Any = section.type
        prefix = f"{section.name}."
        sections[section.name] = kind(**{k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)})
    return Settings(**sections)


def _of_file(path: Path, known: Mapping[str, Key], problems: list[str]) -> Iterator[tuple[str, object]]:
    """Yield the known keys of a file with their values; add the others to `problems`."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettingsError(path, [f"the file cannot be read: {error.strerror}"]) from error
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        raise InvalidSettingsError(path, [f"the file is no TOML: {error}"]) from error
    sections = {key.section for key in known.values()}
    for section, table in document.items():
        if section not in sections:
            problems.append(_unknown(section, [*sections, *known]))
        elif not isinstance(table, dict):
            problems.append(f"{section} = {_shown(table)} is wrong: expected a section [{section}]")
        else:
            for name, value in table.items():
                dotted = f"{section}.{name}"
                if dotted in known:
                    yield dotted, value
                else:
                    problems.append(_unknown(dotted, known))


def _unknown(name: str, known: typing.Iterable[str]) -> str:
    """Say that there is no such key, and which one may be meant."""
    candidates = sorted(known)
    leaf = name.rpartition(".")[2]
    elsewhere = [key for key in candidates if key.rpartition(".")[2] == leaf]
    near = elsewhere or difflib.get_close_matches(name, candidates, n=1, cutoff=0)
    return f"{name} is unknown; the nearest known one is {near[0]}"


def _take(values: dict[str, object], problems: list[str], key: Key, value: object, name: str, base: Path) -> None:
    """Put a value where it belongs, or say why not."""
    try:
        values[key.dotted] = _converted(key, value, base)
    except (ValueError, OverflowError):
        problems.append(f"{name} = {_shown(value)} is wrong: expected {key.expected}. {key.about['help']}")


def _shown(value: object) -> str:
    """Return a value as the file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return f'"{value}"' if isinstance(value, str) else str(value)
    except ValueError:
        return "a number of thousands of digits"


def _item(kind: Any) -> tuple[type, bool]:  # noqa: ANN401 - an annotation
    """Return the type of a value or of a list's items, and whether it is a list."""
    if typing.get_origin(kind) is tuple:
        return typing.get_args(kind)[0], True
    if isinstance(kind, types.UnionType):
        return typing.get_args(kind)[0], False
    return kind, False


def _from_text(key: Key, text: str) -> object:
    """Return what a text of environment or flags stands for; a text that does not fit stays one, and is refused."""
    item, is_list = _item(key.kind)
    if is_list:
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
    """Return `value` as the type of its key has it; ValueError if it does not fit."""
    item, is_list = _item(key.kind)
    if is_list:
        if not isinstance(value, list):
            raise ValueError(key.dotted)
        return tuple(_single(item, each, base) for each in value)
    if value == "" and isinstance(key.kind, types.UnionType):
        return None
    if value == "" and key.required:
        raise ValueError(key.dotted)
    found = _single(item, value, base)
    least, most = key.about["least"], key.about["most"]
    if (least is not None and found < least) or (most is not None and found > most):
        raise ValueError(key.dotted)
    return found


def _single(item: type, value: object, base: Path) -> Any:  # noqa: ANN401 - of the type `item`
    """Return one value as `item`; ValueError if it does not fit."""
    if item is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if item is float and isinstance(value, float) and math.isfinite(value):
        return value
    if item in {bool, int} and type(value) is item:
        return value
    if isinstance(value, str):
        if item is Path and value and "\0" not in value:
            return Path(base, value)
        if issubclass(item, str):
            return item(value)
    raise ValueError(value)
