"""A journal and its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.journal.samples import Clock

from ctao_bdms.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(tmp_path / "state" / "journal.sqlite", by="daemon", now=clock)
    yield journal
    journal.close()
