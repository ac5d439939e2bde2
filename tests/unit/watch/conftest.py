"""A folder of a night, and the watch over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.watch.inbox import Clock

from ctao_bdms.inbox import Watch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "onsite" / "ctao/acada/DL0/LSTN-01/u/events/2026/11/21"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def watch(tmp_path: Path, folder: Path, clock: Clock) -> Watch:
    assert folder.exists()
    return Watch([tmp_path / "onsite"], tmp_path / "onsite", settle_s=3, full_scan_s=600, monotonic=clock)
