"""A real Rucio keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import ROOT
from ctao_bdms.errors import ForbiddenError
from ctao_bdms.model import ReplicaState
from ctao_bdms.testing.contract import ONSITE, CatalogueContract, block_of, registration

if TYPE_CHECKING:
    from ctao_bdms.catalogue import Catalogue
    from ctao_bdms.testing.plugin import RucioNamespace


class TestRucioCatalogue(CatalogueContract):
    @pytest.fixture
    def catalogue(self, embedded_rucio: RucioNamespace) -> Catalogue:
        return embedded_rucio.catalogue

    @pytest.fixture
    def elsewhere(self, embedded_rucio: RucioNamespace) -> Catalogue:
        return RucioCatalogue.connect(embedded_rucio.instance.client_config(ROOT))

    def test_last_copy_is_declared_neither_bad_nor_suspicious(self, catalogue: Catalogue, scope: str) -> None:
        file, block = registration(scope), block_of(scope)
        catalogue.ensure_directories([file.lfn])
        catalogue.open_block(block)
        catalogue.register(block, ONSITE, [file])
        for declare in (catalogue.declare_bad, catalogue.declare_suspicious):
            with pytest.raises(ForbiddenError, match="is the last sound one"):
                declare(file.lfn, ONSITE, "other bytes")
        (copy,) = catalogue.content([file.lfn])[file.lfn].replicas
        assert copy.state is ReplicaState.AVAILABLE
