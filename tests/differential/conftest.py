"""The option and the summary of this ring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_KEY = "differential"


def pytest_addoption(parser: pytest.Parser) -> None:
    # It is known only where this folder is named: pytest tests/differential --differential-files 100000
    parser.addoption("--differential-files", type=int, help="how many random files are compared")
    parser.addoption("--differential-seed", type=int, help="where the random files come from")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    tables = [
        value for report in reports for key, value in getattr(report, "user_properties", []) if key.startswith(_KEY)
    ]
    for table in tables:
        title, *lines = json.loads(table)
        terminalreporter.write_sep("-", title)
        for line in lines:
            terminalreporter.write_line(line)
