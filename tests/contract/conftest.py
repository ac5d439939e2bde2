"""The scope of a test of the contract, in a Rucio that others use, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ctao_bdms.testing.plugin import RucioNamespace


@pytest.fixture
def scope(embedded_rucio: RucioNamespace) -> str:
    return embedded_rucio.scope
