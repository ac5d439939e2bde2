"""Words and numbers of a command line at their ends: a sentence and an exit code, whatever they are called."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from ctao_bdms import access
from ctao_bdms.archive import Bdms
from ctao_bdms.cli.app import app, run
from ctao_bdms.model import NewProduct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import cyclopts

#: What a question goes through, and what a new product goes through: each has names of its own.
ASKED: tuple[Callable[..., object], ...] = (Bdms.query, Bdms.count, Bdms.retrieve, access.query, access.build_query)
PUT: tuple[Callable[..., object], ...] = (NewProduct.of, NewProduct, Bdms.put)


def _names(functions: tuple[Callable[..., object], ...]) -> set[str]:
    return {"self", "cls", *(name for function in functions for name in inspect.signature(function).parameters)}


QUERY_NAMES = sorted(_names(ASKED) - set(access.QUERY_WORDS) - set(access.SPECIAL_WORDS))
PRODUCT_NAMES = sorted(_names(PUT))


def _commands(group: cyclopts.App = app, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group:
        if not name.startswith("-"):
            command = group[name]
            yield (*before, name)
            yield from _commands(command, (*before, name))


@pytest.fixture(autouse=True)
def _no_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RUCIO_CONFIG", "RUCIO_HOME", "BDMS_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BDMS_HOME", str(tmp_path / "rucio"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["query", "get"])
@pytest.mark.parametrize("name", QUERY_NAMES)
def test_unknown_word_of_a_question_is_refused(command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([f"{name}=1"], [f"{name}!=1"], [f"{name}>=1"], [f"{name}__lt=1"], ["level=DL0", "or", f"{name}=1"]):
        assert run([command, *words]) == 2
        said = capsys.readouterr().err
        assert f"'{name}" in said
        assert "known are level, kind," in said.replace("\n", " ")


@pytest.mark.parametrize("name", PRODUCT_NAMES)
def test_unknown_word_of_a_product_is_refused(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(b"x")
    assert run(["put", "a.fits", "--product", f"{name}=1"]) == 2
    said = capsys.readouterr().err
    assert f"'{name}'" in said
    assert "known are kind, category," in said.replace("\n", " ")


def test_release_and_category_of_a_product_can_be_said_as_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["put", "a.fits", "--product", "category=Q"]) == 2
    assert "'Q' is not a valid Category" in capsys.readouterr().err
    assert run(["put", "a.fits", "--product", "category=A", "--category", "B"]) == 2
    assert "category is given twice" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(_commands()))
@pytest.mark.parametrize("word", ["self=1", "limit=1", "=", "a=b=c", "\udcff=1", ""])
def test_no_command_fails_over_an_odd_word(command: tuple[str, ...], word: str) -> None:
    assert run([*command, word]) in {0, 1, 2, 3}


@pytest.mark.parametrize("start", ["9999-01-01", "0001-01-01"])
def test_simulation_at_the_end_of_the_calendar_is_refused(start: str) -> None:
    assert run(["placement", "simulate", "--start", start]) == 2


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "-1", "999999999999999999999999"])
@pytest.mark.parametrize(
    "command",
    [
        ("release", "--older-than"),
        ("release", "--timeout"),
        ("reconcile", "--patience"),
        ("reconcile", "--timeout"),
        ("placement", "simulate", "--petabytes"),
        ("placement", "simulate", "--start"),
        ("placement", "simulate", "--years"),
        ("query", "--limit"),
    ],
)
def test_number_that_means_nothing_is_refused(command: tuple[str, ...], value: str) -> None:
    assert run([*command, value]) == 2
