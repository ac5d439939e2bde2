"""Read settings from file, environment and flags; report all errors at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms.daemon.config.consistency import contradictions
from ctao_bdms.daemon.config.settings import Settings
from ctao_bdms.errors import InvalidSettingsError
from ctao_bdms.settings import Key, document_of, from_text, keys_of, shown, take, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ENVIRONMENT_PREFIX", "keys", "settings_from"]

#: The prefix of the environment variables: ``BDMS_INGESTD_<SECTION>_<KEY>``.
ENVIRONMENT_PREFIX = "BDMS_INGESTD_"


def keys() -> Iterator[Key]:
    """Yield all settings, in the order of the file."""
    for section in attrs.fields(attrs.resolve_types(Settings)):
        yield from keys_of(section.type, section.name, ENVIRONMENT_PREFIX)


def settings_from(
    path: Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings from defaults, file, environment and flags; later ones win.

    Parameters
    ----------
    path
        A TOML file; paths in it are relative to its folder.
    environ
        Environment variables; only those that begin with ``BDMS_INGESTD_`` are read. Commas separate lists.
    flags
        Values by dotted key, such as ``{"workers.number": "8"}``, written as in the environment.

    Raises
    ------
    InvalidSettingsError
        If any setting is wrong; it lists all errors.
    """
    known = {key.dotted: key for key in keys()}
    problems: list[str] = []
    values: dict[str, object] = {}
    if path is not None:
        for dotted, value in _of_file(path, known, problems):
            take(values, problems, known[dotted], value, dotted, path.absolute().parent)
    variables = {key.variable: key for key in known.values()}
    for name, text in sorted((environ or {}).items()):
        if name in variables:
            take(values, problems, variables[name], from_text(variables[name], text), name, Path.cwd())
        elif name.startswith(ENVIRONMENT_PREFIX):
            problems.append(unknown(name, variables))
    for dotted, text in (flags or {}).items():
        if dotted in known:
            take(values, problems, known[dotted], from_text(known[dotted], text), dotted, Path.cwd())
        else:
            problems.append(unknown(dotted, known))
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
    """Return the settings for values by dotted key."""
    sections: dict[str, Any] = {}
    for section in attrs.fields(attrs.resolve_types(Settings)):
        kind: Any = section.type
        prefix = f"{section.name}."
        sections[section.name] = kind(**{k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)})
    return Settings(**sections)


def _of_file(path: Path, known: Mapping[str, Key], problems: list[str]) -> Iterator[tuple[str, object]]:
    """Yield the known keys of a file with values; add unknown keys to `problems`."""
    document = document_of(path)
    sections = {key.section for key in known.values()}
    for section, table in document.items():
        if section not in sections:
            problems.append(unknown(section, [*sections, *known]))
        elif not isinstance(table, dict):
            problems.append(f"{section} = {shown(table)} is wrong: expected a section [{section}]")
        else:
            for name, value in table.items():
                dotted = f"{section}.{name}"
                if dotted in known:
                    yield dotted, value
                else:
                    problems.append(unknown(dotted, known))
