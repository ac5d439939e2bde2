"""What tests of the contract leave in a Rucio that others use, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.database import expire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.testing.plugin import RucioNamespace


@pytest.fixture
def scope(embedded_rucio: RucioNamespace) -> Iterator[str]:
    """Give a scope; what is in its blocks then expires.

    Their files have no bytes: Rucio would go on trying to copy them while other tests wait for copies of theirs.
    """
    scope = embedded_rucio.scope
    yield scope
    expire(embedded_rucio.instance, scope, "%/blocks/%")
