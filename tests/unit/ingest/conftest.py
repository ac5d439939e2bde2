"""The storage on site, and a night of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.ingest.samples import FOLDER

from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "onsite" / FOLDER).mkdir(parents=True)
    return tmp_path / "onsite"


@pytest.fixture
def night(root: Path) -> list[WrittenFile]:
    return write_night(root, night_specs(6, telescopes=2, megabytes=0.1))
