"""The examples in docstrings, run as they stand."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import ctao_bdms
import ctao_rucio_policy


def _modules() -> list[str]:
    """Return the installed modules whose docstrings have examples."""
    found = []
    for package in (ctao_bdms, ctao_rucio_policy):
        top = Path(package.__path__[0])
        for path in sorted(top.rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                parts = path.relative_to(top.parent).with_suffix("").parts
                found.append(".".join(part for part in parts if part != "__init__"))
    return found


@pytest.mark.parametrize("name", _modules())
def test_examples(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), report=True)
    assert results.attempted > 0, "the examples were not found"
    assert results.failed == 0, "see the output"


def test_there_are_examples() -> None:
    assert len(_modules()) > 10
