"""Options and tables of the whole test run.

pytest takes options only from a folder that is named on its command line, or above.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

from ctao_bdms.proxies import spare_loopback

if TYPE_CHECKING:
    import pytest

#: Under names that begin so, a ring records its table: a title and lines, as JSON.
_TABLES = ("campaign", "copies", "differential", "realfiles")

# Where other tests run beside it, an example may take any time: that is no failure.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")

# The servers of the tests are on this machine, also for processes with Rucio's own client.
spare_loopback()


def pytest_addoption(parser: pytest.Parser) -> None:
    differential = parser.getgroup("differential", "the scan beside CFITSIO and astropy")
    differential.addoption("--differential-files", type=int, help="how many random files are compared")
    differential.addoption("--differential-seed", type=int, help="where the random files come from")
    copies = parser.getgroup("copies", "archives in a real Rucio, and calls of every role that could end a copy")
    copies.addoption("--copy-examples", type=int, help="how many archives the machine of copies tries")
    campaign = parser.getgroup("campaign", "a real daemon and a real Rucio, broken round after round")
    campaign.addoption("--rounds", type=int, help="how many rounds the campaign has")
    campaign.addoption("--fault", help="only this fault, e.g. taken_over")
    campaign.addoption("--campaign-seed", type=int, help="what chooses files, faults and times")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    recorded = [pair for report in reports for pair in getattr(report, "user_properties", [])]
    for table in dict.fromkeys(value for key, value in recorded if key.startswith(_TABLES)):
        title, *lines = json.loads(table)
        terminalreporter.write_sep("-", title)
        for line in lines:
            terminalreporter.write_line(line)
