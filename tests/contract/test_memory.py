"""The archive in memory keeps the contract."""

from __future__ import annotations

import pytest

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.model import Rse
from ctao_bdms.testing.contract import CatalogueContract


class TestInMemoryCatalogue(CatalogueContract):
    @pytest.fixture
    def scope(self) -> str:
        return "acada"

    @pytest.fixture
    def catalogue(self) -> InMemoryCatalogue:
        return InMemoryCatalogue(
            [
                Rse(name="CTAO-NORTH-ONSITE", prefix="/onsite", site="CTAO-North"),
                Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
                Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
            ]
        )

    @pytest.fixture
    def elsewhere(self, catalogue: InMemoryCatalogue) -> InMemoryCatalogue:
        return catalogue
