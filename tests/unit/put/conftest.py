"""An archive and a DL1 file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.put.archive import NAME, Archive

from ctao_bdms.testing.products import write_dl1

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "storage")


@pytest.fixture
def dl1(tmp_path: Path) -> Path:
    return write_dl1(tmp_path / NAME, telescopes=(1,), attributes={"OBS_ID": 2000000001})
