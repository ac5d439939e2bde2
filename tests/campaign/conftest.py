"""The options and the summary of this ring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_KEY = "campaign"


def pytest_addoption(parser: pytest.Parser) -> None:
    # They are known only where this folder is named: pytest tests/campaign --rounds 50
    parser.addoption("--rounds", type=int, help="how many rounds the campaign has")
    parser.addoption("--fault", help="only this fault, e.g. taken_over")
    parser.addoption("--campaign-seed", type=int, help="what chooses files, faults and times")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    tables = [value for report in reports for key, value in getattr(report, "user_properties", []) if key == _KEY]
    for table in dict.fromkeys(tables):
        title, *lines = json.loads(table)
        terminalreporter.write_sep("-", title)
        for line in lines:
            terminalreporter.write_line(line)
