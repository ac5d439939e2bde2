"""The command `bdms release` reports what it did."""

from __future__ import annotations

import datetime as dt
import functools
import re
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.unit.space_release.kept import ONSITE, Kept

from ctao_bdms.archive import Bdms
from ctao_bdms.cli.common import Archive as CommandArchive
from ctao_bdms.cli.preservation.release import release as release_command
from ctao_bdms.errors import (
    ForbiddenError,
    UnreachableError,
)
from ctao_bdms.preservation import (
    Decision,
)

if TYPE_CHECKING:
    from pathlib import Path


@attrs.frozen
class _Command(CommandArchive):
    """The archive of a command: the one of the test."""

    bdms: Bdms = attrs.field(kw_only=True)

    def connect(self, quarantine: Path | None = None) -> Bdms:
        return self.bdms


def test_command_reports_what_was_done(three: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    command = functools.partial(release_command, older_than=60.0, archive=_Command(bdms=three.bdms))
    three.rot()
    assert command() == 0
    assert "3 blocks could be released; --apply does it" in capsys.readouterr().out
    three.archive.fails["end_rule", three.block_of(3)] = ForbiddenError("you may not")
    assert command(apply=True, to_low_water="0%") == 1
    said = capsys.readouterr().out
    assert re.search(r"not released +.*PIC: /ctao/acada/DL0", said)
    assert re.search(r"not released .*you may not", said)
    assert "1 of 3 blocks released" in said
    assert command(apply=True) == 1
    assert "0 of 2 blocks released" in capsys.readouterr().out, "what had been released before is not counted again"


def test_command_shows_its_table_when_the_archive_is_unreachable(
    three: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (3, 6):
        three.archive.fails["annotate", three.block_of(number)] = UnreachableError("it has gone")
    with pytest.raises(UnreachableError, match="it has gone"):
        release_command(older_than=60.0, apply=True, wait=True, archive=_Command(bdms=three.bdms))
    said = capsys.readouterr().out
    assert "1 of 3 blocks released" in said
    assert [said.count(str(decision)) for decision in (Decision.ENDED, Decision.FAILED)] == [1, 2]


def test_command_does_not_wait_for_rules_that_end_by_themselves(
    three: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = three.clock[0] + dt.timedelta(days=120)
    for rule in (rule for number in (0, 3, 6) for rule in three.rules_of(three.block_of(number))):
        if rule.rse_expression == ONSITE:
            three.archive.set_rule(attrs.evolve(rule, expires=ends))
    assert release_command(older_than=60.0, apply=True, wait=True, archive=_Command(bdms=three.bdms)) == 0
    assert capsys.readouterr().out.count("it goes by itself on 2027-05-24") == 3
