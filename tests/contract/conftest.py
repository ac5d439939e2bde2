"""What tests of the contract leave in a Rucio that others use, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctao_bdms.catalogue.rucio import RucioCatalogue

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
    client = RucioCatalogue.connect(embedded_rucio.instance.client_config("root")).client
    for name in client.list_dids(scope, {"name": "*/blocks/*"}, did_type="dataset"):
        client.set_metadata(scope, name, "lifetime", 1)
