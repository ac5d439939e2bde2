"""A real Rucio keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctao_bdms.testing.contract import CatalogueContract

if TYPE_CHECKING:
    from ctao_bdms.catalogue import Catalogue
    from ctao_bdms.testing.plugin import RucioNamespace


class TestRucioCatalogue(CatalogueContract):
    @pytest.fixture
    def catalogue(self, embedded_rucio: RucioNamespace) -> Catalogue:
        return embedded_rucio.catalogue
