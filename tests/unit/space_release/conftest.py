"""Archives with one block and with three."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.space_release.kept import Kept, make_kept

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return make_kept(tmp_path, 1)


@pytest.fixture
def three(tmp_path: Path) -> Kept:
    """Three blocks, one of each night: the files 0, 3, and 6 are the first of each."""
    return make_kept(tmp_path, 3)
