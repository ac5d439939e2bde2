"""Whatever a file, the environment or a flag says: settings, or sentences about what is wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from ctao_bdms.daemon.config import Settings, settings_from
from ctao_bdms.daemon.config.load import keys
from ctao_bdms.errors import InvalidSettingsError
from ctao_bdms.settings import Key, toml

KEYS = list(keys())
NEEDED = {"storage.root": "/s", "storage.rse": "R", "storage.site": "CTAO-North"}
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-10, 10),
    st.sampled_from([10**400, 10**5000]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "\0", "INFO"]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3).map(tuple))


def written(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value) if value >= 0 else "-1"
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08X}" for c in value if not 0xD800 <= ord(c) < 0xE000) + '"'
    return toml(value)


def read(text: str, flags: dict[str, str]) -> Settings | InvalidSettingsError:
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        try:
            return settings_from(Path(stream.name), {}, flags)
        except InvalidSettingsError as error:
            return error


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_any_values_in_a_file(values: dict[Key, Any]) -> None:
    sections: dict[str, list[str]] = {}
    for key, value in values.items():
        sections.setdefault(key.section, []).append(f"{key.name} = {written(value)}")
    text = "\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in sections.items())
    found = read(text, {name: value for name, value in NEEDED.items() if name not in {k.dotted for k in values}})
    if isinstance(found, InvalidSettingsError):
        assert found.problems
        assert not any(" is not valid TOML" in problem for problem in found.problems), (text, found)


@given(st.dictionaries(st.sampled_from(KEYS).map(lambda key: key.dotted) | st.text(max_size=9), st.text(max_size=9)))
def test_any_texts_in_flags(flags: dict[str, str]) -> None:
    read("", NEEDED | flags)


@given(st.text(max_size=60))
def test_any_text_as_a_file(text: str) -> None:
    read(text.encode("utf-8", "replace").decode(), NEEDED)


@given(st.data())
def test_what_is_written_is_what_is_read(data: st.DataObject) -> None:
    def drawn(key: Key) -> object:
        least, most = key.about["least"], key.about["most"]
        if key.kind is int:
            return data.draw(st.integers(int(least), int(most or 10**15)))
        if key.kind is float:
            return data.draw(st.floats(float(least), 1e9))
        return key.default

    numbers = [key for key in KEYS if key.kind in {int, float}]
    values = {key: drawn(key) for key in data.draw(st.lists(st.sampled_from(numbers), unique=True, max_size=5))}
    found = read("", NEEDED | {key.dotted: repr(value) for key, value in values.items()})
    if isinstance(found, Settings):
        for key, value in values.items():
            assert attrs.asdict(found)[key.section][key.name] == value
    else:
        assert not any("is wrong" in problem for problem in found.problems)
