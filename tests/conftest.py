"""Options of the whole test run: pytest takes them only from a folder that is named on its command line, or above."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--differential-files", type=int, help="how many random files are compared")
    parser.addoption("--differential-seed", type=int, help="where the random files come from")
